package s3

import (
	"strconv"
	"time"
	"unicode/utf8"

	"torc/internal/buf"
	"torc/object"
)

// listWriter renders a listing by appending to one pooled buffer: at a thousand
// entries a page, encoding/xml would cost more than the database.
type listWriter struct {
	pool   *buf.Buffer
	b      []byte
	encode bool // names URL-encoded
}

// listEntryBytes is what an entry takes whose key is of ordinary length; longer
// ones make append allocate.
const listEntryBytes = 400

func newListWriter(l *listing) *listWriter {
	p := buf.Get((len(l.page.Objects) + len(l.page.Prefixes) + 4) * listEntryBytes)
	return &listWriter{pool: p, b: p.B[:0], encode: l.encode}
}

// release gives the buffer back; what close returned is void from then on.
func (w *listWriter) release() { w.pool.Release() }

func (w *listWriter) open(root string) {
	w.b = append(w.b, xmlHeader...)
	w.b = append(w.b, '<')
	w.b = append(w.b, root...)
	w.b = append(w.b, ` xmlns="`+xmlns+`">`...)
}

func (w *listWriter) close(root string) []byte {
	w.end(root)
	return w.b
}

func (w *listWriter) start(tag string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, tag...)
	w.b = append(w.b, '>')
}

func (w *listWriter) end(tag string) {
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, tag...)
	w.b = append(w.b, '>')
}

// text writes an element with escaped text.
func (w *listWriter) text(tag, s string) {
	w.start(tag)
	w.b = appendXML(w.b, s)
	w.end(tag)
}

// name writes an element that encoding-type applies to.
func (w *listWriter) name(tag, s string) {
	w.start(tag)
	if w.encode {
		w.b = appendURL(w.b, s)
	} else {
		w.b = appendXML(w.b, s)
	}
	w.end(tag)
}

func (w *listWriter) number(tag string, n int64) {
	w.start(tag)
	w.b = strconv.AppendInt(w.b, n, 10)
	w.end(tag)
}

// time writes milliseconds, as xmlTime does.
func (w *listWriter) time(tag string, t time.Time) {
	w.start(tag)
	w.b = t.UTC().AppendFormat(w.b, "2006-01-02T15:04:05.000Z")
	w.end(tag)
}

// tail writes what both versions end with.
func (w *listWriter) tail(l *listing, c *call, owner bool) {
	w.number("MaxKeys", int64(l.maxKeys))
	if l.delimiter != "" {
		w.name("Delimiter", l.delimiter)
	}
	if l.encode {
		w.text("EncodingType", "url")
	}
	w.text("IsTruncated", strconv.FormatBool(l.page.Truncated))
	var who []byte
	if owner {
		o := c.self()
		who = append(who, "<Owner><ID>"...)
		who = appendXML(who, o.ID)
		who = append(who, "</ID><DisplayName>"...)
		who = appendXML(who, o.DisplayName)
		who = append(who, "</DisplayName></Owner>"...)
	}
	for i := range l.page.Objects {
		w.object(&l.page.Objects[i], who)
	}
	for _, p := range l.page.Prefixes {
		w.start("CommonPrefixes")
		w.name("Prefix", p)
		w.end("CommonPrefixes")
	}
}

func (w *listWriter) object(o *object.Object, owner []byte) {
	w.start("Contents")
	w.name("Key", o.Key)
	w.time("LastModified", o.Modified)
	w.b = append(w.b, "<ETag>&quot;"...)
	w.b = appendXML(w.b, o.ETag)
	w.b = append(w.b, "&quot;</ETag>"...)
	for _, s := range o.Checksums {
		w.text("ChecksumAlgorithm", s.Algorithm)
		w.text("ChecksumType", s.Type)
	}
	w.number("Size", o.Size)
	w.b = append(w.b, owner...)
	class := o.Class
	if class == "" {
		class = "STANDARD"
	}
	w.text("StorageClass", class)
	w.end("Contents")
}

// appendXML escapes text. Control characters become references, as S3 writes
// them: XML 1.0 parsers refuse those, which is what encoding-type=url is for,
// and no parser is ever shown another name than the key's.
func appendXML(b []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); i++ {
		esc := ""
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			continue
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '"':
			esc = "&quot;"
		case c < 0x20:
			esc = "&#x" + strconv.FormatInt(int64(c), 16) + ";"
		default:
			continue
		}
		b = append(b, s[last:i]...)
		b = append(b, esc...)
		last = i + 1
	}
	return append(b, s[last:]...)
}

const upperHex = "0123456789ABCDEF"

// appendURL percent-encodes what is not unreserved, the slash excepted. A space
// is %20, which clients that expect form encoding decode as well.
func appendURL(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/', c == '*':
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}
