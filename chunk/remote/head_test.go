package remote

import (
	"bytes"
	"reflect"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/transport"
)

var methods = []transport.Method{MethodPut, MethodGet, MethodStat, MethodDelete, MethodList}

func sampleRequest(m transport.Method) request {
	r := request{node: "s12n3", epoch: 1 << 40, key: testKey(77)}
	switch m {
	case MethodPut:
		r.version, r.groupSize, r.owner = 5, 1<<33, []byte("bucket/key")
	case MethodDelete:
		r.version = 6
	case MethodGet:
		r.rng = chunk.Range{Off: 3, Len: -1}
	case MethodList:
		r.first, r.limit = true, 100
	}
	return r
}

func TestRequestRoundTripAndTruncation(t *testing.T) {
	for _, m := range methods {
		want := sampleRequest(m)
		b := want.append(nil, m)
		got, err := decodeRequest(b, m)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#x: %+v, %v; want %+v", m, got, err, want)
		}
		for n := range len(b) {
			if _, err := decodeRequest(b[:n], m); !errs.Is(err, errs.Invalid) {
				t.Errorf("%#x cut to %d of %d bytes: %v, want Invalid", m, n, len(b), err)
			}
		}
		if _, err := decodeRequest(append(b, 0), m); !errs.Is(err, errs.Invalid) {
			t.Errorf("%#x with a byte more: %v, want Invalid", m, err)
		}
		b[0] = headVersion + 1
		if _, err := decodeRequest(b, m); !errs.Is(err, errs.Invalid) {
			t.Errorf("%#x of a newer version: %v, want Invalid", m, err)
		}
	}
}

// The bytes of version 1 are fixed: a change here breaks rolling upgrades.
func TestRequestBytesOfVersion1(t *testing.T) {
	r := request{node: "n", epoch: 2, version: 3, groupSize: 4, owner: []byte("o")}
	r.key[0], r.key[19] = 0xAA, 0x20
	want := append([]byte{1, 1, 'n', 2, 0, 0, 0, 0, 0, 0, 0, 0xAA}, make([]byte, 18)...)
	want = append(want, 0x20, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 'o')
	if got := r.append(nil, MethodPut); !bytes.Equal(got, want) {
		t.Errorf("put head\n got %x\nwant %x", got, want)
	}
}

func TestInfoAndListRoundTrip(t *testing.T) {
	infos := []chunk.Info{
		{Key: testKey(1), Version: 9, Size: 5, Sum: 0xdeadbeef, Attrs: chunk.Attrs{GroupSize: 10, Owner: []byte("x")}},
		{Key: testKey(2), Version: 1, Deleted: true},
	}
	got, err := decodeList(appendList(nil, infos))
	if err != nil || !reflect.DeepEqual(got, infos) {
		t.Errorf("list %+v, %v", got, err)
	}
	one, err := decodeInfoHead(appendInfoHead(nil, &infos[0]))
	if err != nil || !reflect.DeepEqual(one, infos[0]) {
		t.Errorf("info %+v, %v", one, err)
	}
	r, err := decodeReceipt(appendReceipt(nil, chunk.Receipt{Want: 6, Durable: 5, Handoff: 1}))
	if err != nil || r != (chunk.Receipt{Want: 6, Durable: 5, Handoff: 1}) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

// What decodes must encode back to the same bytes: there is one encoding of each message.
func FuzzHeads(f *testing.F) {
	for i, m := range methods {
		r := sampleRequest(m)
		f.Add(uint8(i), r.append(nil, m))
	}
	info := chunk.Info{Key: testKey(1), Size: 5, Attrs: chunk.Attrs{Owner: []byte("x")}}
	f.Add(uint8(5), appendInfoHead(nil, &info))
	f.Add(uint8(6), appendList(nil, []chunk.Info{info}))
	f.Add(uint8(7), appendReceipt(nil, chunk.Receipt{Want: 1}))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		var back []byte
		var err error
		switch which % 8 {
		case 5:
			var i chunk.Info
			i, err = decodeInfoHead(b)
			back = appendInfoHead(nil, &i)
		case 6:
			var l []chunk.Info
			l, err = decodeList(b)
			back = appendList(nil, l)
		case 7:
			var r chunk.Receipt
			r, err = decodeReceipt(b)
			back = appendReceipt(nil, r)
		default:
			m := methods[which%8]
			var r request
			r, err = decodeRequest(b, m)
			back = r.append(nil, m)
		}
		if err == nil && !bytes.Equal(back, b) {
			t.Fatalf("decoded from %x, encodes to %x", b, back)
		}
	})
}
