package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"strconv"

	"torc/internal/errs"
)

// xmlHeader opens every document.
const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// xmlns is the name space of S3's documents.
const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"

func itoa(n int) string { return strconv.Itoa(n) }

// marshalXML renders a document with its header.
func marshalXML(v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xmlHeader)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		return nil, errs.E("s3: encode answer", errs.Other, "%w", err)
	}
	return b.Bytes(), nil
}

// decodeXML reads one document of at most max bytes into v, whose XMLName names
// the root. A name space is accepted and not required. Directives (DOCTYPE,
// and with them entities) and anything after the root are refused.
func decodeXML(body []byte, v any) error {
	d := xml.NewTokenDecoder(&plainTokens{d: xml.NewDecoder(bytes.NewReader(body))})
	if err := d.Decode(v); err != nil {
		return fail("MalformedXML").because(err)
	}
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fail("MalformedXML").because(err)
		}
		switch t := t.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return fail("MalformedXML")
			}
		default:
			return fail("MalformedXML")
		}
	}
}

// xmlDepthMax bounds nesting: no document of S3's is deeper than 6.
const xmlDepthMax = 32

// plainTokens passes tokens on without their name spaces, and refuses
// directives and deep nesting.
type plainTokens struct {
	d     *xml.Decoder
	depth int
}

// Token implements xml.TokenReader.
func (p *plainTokens) Token() (xml.Token, error) {
	t, err := p.d.Token()
	switch e := t.(type) {
	case xml.StartElement:
		if p.depth++; p.depth > xmlDepthMax {
			return nil, errs.E("s3: decode XML", errs.Invalid, "deeper than %d elements", xmlDepthMax)
		}
		e.Name.Space = ""
		e.Attr = nil
		return e, err
	case xml.EndElement:
		p.depth--
		e.Name.Space = ""
		return e, err
	case xml.Directive:
		return nil, errs.E("s3: decode XML", errs.Invalid, "a directive is not allowed")
	}
	return t, err
}
