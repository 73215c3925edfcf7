package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"torc/internal/errs"
	"torc/internal/pki"
)

// raw connects by hand and sends a preface.
func raw(t *testing.T, w *world, p preface) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", w.addr)
	must(t, c, err)
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = c.Write(p.encode())
	must(t, c, err)
	return c
}

func readPreface(t *testing.T, c net.Conn) preface {
	t.Helper()
	var b [prefaceLen]byte
	_, err := io.ReadFull(c, b[:])
	must(t, b, err)
	p, err := decodePreface(b[:])
	return must(t, p, err)
}

var goodPreface = preface{versionMin: VersionMin, versionMax: VersionMax}

func frameBytes(h header, head, body []byte) []byte {
	h.headLen, h.bodyLen, h.sum = uint32(len(head)), uint32(len(body)), payloadSum(head, body)
	return append(append(h.append(nil), head...), body...)
}

func TestHostileClientIsDropped(t *testing.T) {
	g := newGate(t)
	w := start(t, netCases()[0], Mux{methodEcho: echo, methodBlock: g.serve}, func(sc *ServerConfig, _ *ClientConfig) {
		sc.Limits.LinkCalls = 2
	})
	block := func(id uint64) []byte {
		return frameBytes(header{typ: frameCall, method: methodBlock, id: id}, nil, nil)
	}
	badSum := frameBytes(header{typ: frameCall, method: methodEcho, id: 1}, []byte("head"), []byte("body"))
	badSum[len(badSum)-1] ^= 1
	big := func(head, body uint32) []byte {
		h := header{typ: frameCall, method: methodEcho, id: 1, headLen: head, bodyLen: body}
		return h.append(nil)
	}
	for name, bytes := range map[string][]byte{
		"payload checksum":    badSum,
		"header checksum":     make([]byte, headerLen),
		"head length":         big(HeadLenMax+1, 0),
		"body length":         big(0, BodyLenMax+1),
		"reply from a client": frameBytes(header{typ: frameReply, id: 1}, nil, nil),
		"unknown frame type":  frameBytes(header{typ: frameTypes}, nil, nil),
		"ping with payload":   frameBytes(header{typ: framePing}, []byte("x"), nil),
		"same id twice":       append(block(1), block(1)...),
		"too many calls":      append(append(block(1), block(2)...), block(3)...),
		"plain HTTP":          []byte("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: curl\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := raw(t, w, goodPreface)
			readPreface(t, c)
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil && !isReset(err) {
				t.Errorf("the server did not close the link: %v", err)
			}
		})
	}
	r, err := w.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
}

func isReset(err error) bool {
	e, ok := err.(net.Error)
	return !ok || !e.Timeout()
}

func TestVersionsAndPrefaces(t *testing.T) {
	w := start(t, netCases()[0], Mux{}, nil)
	if p := readPreface(t, raw(t, w, preface{versionMin: 1, versionMax: 9})); p.versionMin != VersionMax || p.bytes < WindowMin || p.calls == 0 {
		t.Errorf("answer to versions 1-9: %+v", p)
	}
	if p := readPreface(t, raw(t, w, preface{versionMin: VersionMax + 1, versionMax: VersionMax + 2})); p.versionMax != 0 {
		t.Errorf("answer to versions from the future: %+v, want a refusal", p)
	}
	for name, change := range map[string]func([]byte){
		"magic":    func(b []byte) { b[0] ^= 1 },
		"checksum": func(b []byte) { b[9] ^= 1 },
	} {
		b := goodPreface.encode()
		change(b)
		if _, err := decodePreface(b); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v, want Corrupt", name, err)
		}
	}
	bad := preface{versionMin: 2, versionMax: 1}
	if _, err := decodePreface(bad.encode()); !errs.Is(err, errs.Corrupt) {
		t.Errorf("versions 2-1: %v, want Corrupt", err)
	}
}

// A server that lies about what it chose, or answers what nobody asked, is left.
func TestHostileServerIsLeft(t *testing.T) {
	good := preface{versionMin: 1, versionMax: 1, calls: 4, bytes: WindowMin}
	noWindow := preface{versionMin: 1, versionMax: 1, calls: 4}
	future := preface{versionMin: 7, versionMax: 7, calls: 4, bytes: WindowMin}
	refusal := preface{calls: 4, bytes: WindowMin}
	for name, c := range map[string]struct {
		answer []byte
		want   errs.Kind
	}{
		"no window":      {noWindow.encode(), errs.Unavailable},
		"future version": {future.encode(), errs.Unavailable},
		"refusal":        {refusal.encode(), errs.Unavailable},
		"not Torc":       {make([]byte, prefaceLen), errs.Unavailable},
		"wrong id":       {append(good.encode(), frameBytes(header{typ: frameReply, id: 99}, nil, nil)...), errs.Unknown},
		"a call":         {append(good.encode(), frameBytes(header{typ: frameCall, id: 1}, nil, nil)...), errs.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, ln, err)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				first := make([]byte, prefaceLen)
				_, _ = io.ReadFull(conn, first)
				_, _ = conn.Write(c.answer[:prefaceLen])
				if len(c.answer) > prefaceLen {
					_, _ = io.ReadFull(conn, make([]byte, headerLen)) // the client's call
				}
				_, _ = conn.Write(c.answer[prefaceLen:])
				_, _ = io.Copy(io.Discard, conn)
			}()
			client := NewClient(ClientConfig{})
			_, err = client.Call(t.Context(), ln.Addr().String(), Request{Method: methodEcho})
			if !errs.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			client.Close()
			_ = ln.Close()
			<-ended
		})
	}
}

func TestPeerIsTheCertificates(t *testing.T) {
	who := make(chan Peer, 1)
	w := start(t, netCases()[1], Mux{methodEcho: func(_ context.Context, p Peer, _ Request) (*Reply, error) {
		who <- p
		return nil, nil
	}}, nil)
	r, err := w.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
	if p := <-who; p.Server != "s2" || p.Cluster != "c1" || p.Addr == "" {
		t.Errorf("peer %+v, want s2 of c1", p)
	}
}

func TestUntrustedPeersAreRefused(t *testing.T) {
	ca, other := newCA(t, "c1"), newCA(t, "c2")
	impostor := newCA(t, "c1") // the same name, another key
	for _, c := range []struct {
		name           string
		server, client *pki.Pair
		serverCA       *pki.CA
		clientCA       *pki.CA
		expect         string
	}{
		{"server of another cluster", issue(t, other, "s1"), issue(t, ca, "s2"), other, ca, ""},
		{"client of another cluster", issue(t, ca, "s1"), issue(t, other, "s2"), ca, other, ""},
		{"server of an impostor CA", issue(t, impostor, "s1"), issue(t, ca, "s2"), impostor, ca, ""},
		{"another server than expected", issue(t, ca, "s3"), issue(t, ca, "s2"), ca, ca, "s1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := netCase{c.name, func(t testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
				st, err := c.server.ServerTLS(c.serverCA.Cert, c.serverCA.Cluster)
				must(t, st, err)
				ct, err := c.client.ClientTLS(c.clientCA.Cert, c.clientCA.Cluster)
				must(t, ct, err)
				return TCP{}, TCP{}, "127.0.0.1:0", ServerConfig{TLS: st},
					ClientConfig{TLS: ct, Expect: func(string) string { return c.expect }}
			}}
			w := start(t, nc, Mux{methodEcho: func(context.Context, Peer, Request) (*Reply, error) {
				t.Error("a handler ran")
				return nil, nil
			}}, nil)
			if _, err := w.call(t, Request{Method: methodEcho}); !errs.Is(err, errs.Unavailable) {
				t.Errorf("%v, want Unavailable", err)
			}
		})
	}
}

func TestPlainClientMeetsTLSServer(t *testing.T) {
	w := start(t, netCases()[1], Mux{methodEcho: echo}, func(_ *ServerConfig, cc *ClientConfig) { cc.TLS = nil })
	if _, err := w.call(t, Request{Method: methodEcho}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	want := header{typ: frameError, kind: errs.Full, method: 0x1234, id: 1 << 60, headLen: 5, bodyLen: 6, micros: 7, sum: 8}
	b := want.append(nil)
	got, err := decodeHeader(b)
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeHeader(b); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("bit %d flipped: %v, want Corrupt", bit, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// The bytes of version 1 are fixed: a change here breaks rolling upgrades.
func TestHeaderBytesOfVersion1(t *testing.T) {
	h := header{typ: frameCall, method: 0x0101, id: 3, headLen: 4, bodyLen: 5, micros: 6, sum: 7}
	want := []byte{1, 0, 1, 1, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0}
	if got := h.append(nil); !bytes.Equal(got[:28], want) {
		t.Errorf("got  %x\nwant %x", got[:28], want)
	}
}

// FuzzFrames reads arbitrary bytes as frames: no panic, no more memory than the
// limits, and what is accepted encodes to the bytes it came from.
func FuzzFrames(f *testing.F) {
	f.Add(frameBytes(header{typ: frameCall, method: 0x0101, id: 1, micros: 99}, []byte("head"), []byte("body")))
	f.Add(frameBytes(header{typ: frameError, kind: errs.Full, id: 2}, []byte("no space"), nil))
	f.Add(append(frameBytes(header{typ: framePing}, nil, nil), frameBytes(header{typ: frameCredit, id: 9}, nil, nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var stats counters
		r := newFrameReader(bytes.NewReader(b), classCalls, func() {}, &stats.bytesIn)
		at := 0
		for {
			fr, err := r.next(func(h *header) error {
				if h.headLen > HeadLenMax || h.bodyLen > BodyLenMax {
					t.Fatalf("lengths %d, %d admitted", h.headLen, h.bodyLen)
				}
				return nil
			})
			if err != nil {
				return
			}
			enc := frameBytes(fr.header, fr.head, fr.body)
			if !bytes.Equal(enc, b[at:at+len(enc)]) {
				t.Fatalf("frame at %d: %x encodes to %x", at, b[at:at+len(enc)], enc)
			}
			at += len(enc)
			fr.release()
		}
	})
}
