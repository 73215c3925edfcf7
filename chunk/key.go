package chunk

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"torc/internal/errs"
)

// KeyLen is the length of a Key in bytes (160 bits).
const KeyLen = 20

// Key is a ring key. Layout, most significant bit first (published by the
// Droplet and node-uks clients):
//
//	dispersion 24 | object id 64 | volume id 32 | service id 8 | specific 24 | class 4 | replica 4
//
// Class 0-5: class+1 full copies, replica is the copy's number. Class 7:
// erasure coded, specific is k<<18 | m<<12 | schema<<4 | index>>4 and replica is
// index&15, so each fragment's key tells the policy and its siblings' keys.
// Keys are compared as big-endian integers, which is bytes.Compare.
type Key [KeyLen]byte

// Service ids: which part of Torc made a key. User applications use ids above 0xC0.
const (
	ServiceS3   uint8 = 0x59 // the S3 connector
	ServiceUser uint8 = 0xC0
)

// classEC marks erasure-coded keys in the class nibble.
const classEC = 7

// Limits of a Protection that a key can carry.
const (
	CopiesMax          = 6
	DataFragmentsMax   = 20
	ParityFragmentsMax = 8
)

// Payload is the middle of a key: all that its maker chooses.
type Payload struct {
	Object   uint64
	Volume   uint32
	Service  uint8
	Specific uint32 // 24 bits; set by NewKey for erasure coding
}

// Protection says how the value under a key is spread. Exactly one of Copies
// and K is non-zero in a valid one.
type Protection struct {
	Copies uint8 // 1..6 full copies (class of service Copies-1)
	K, M   uint8 // erasure coding: K data (1..20) and M parity (1..8) fragments
}

// Replicas returns the protection of n full copies.
func Replicas(n uint8) Protection { return Protection{Copies: n} }

// EC returns the erasure coding k+m.
func EC(k, m uint8) Protection { return Protection{K: k, M: m} }

// Coded reports whether p is erasure coding.
func (p Protection) Coded() bool { return p.K > 0 }

// Width returns the number of copies or fragments of a group.
func (p Protection) Width() int {
	if p.Coded() {
		return int(p.K) + int(p.M)
	}
	return int(p.Copies)
}

// Need returns how many of them a read needs.
func (p Protection) Need() int {
	if p.Coded() {
		return int(p.K)
	}
	return 1
}

// String renders "3 copies" or "4+2".
func (p Protection) String() string {
	if p.Coded() {
		return fmt.Sprintf("%d+%d", p.K, p.M)
	}
	if p.Copies == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", p.Copies)
}

// Validate returns errs.Invalid for a protection outside the limits.
func (p Protection) Validate() error {
	switch {
	case p.Copies > 0 && p.K == 0 && p.M == 0 && p.Copies <= CopiesMax:
		return nil
	case p.Copies == 0 && p.K >= 1 && p.K <= DataFragmentsMax && p.M >= 1 && p.M <= ParityFragmentsMax:
		return nil
	}
	return errs.E("chunk.Protection", errs.Invalid,
		"%d copies, %d+%d: want 1-%d copies, or k+m with k 1-%d and m 1-%d",
		p.Copies, p.K, p.M, CopiesMax, DataFragmentsMax, ParityFragmentsMax)
}

// NewKey makes the main key (index 0) of a group. Dispersion is the first 24
// bits of MD5 over the 16 payload bytes, big-endian. For erasure coding the
// payload's Specific is replaced. Panics on an invalid protection: policies are
// validated where they are configured.
func NewKey(p Payload, prot Protection) Key {
	if err := prot.Validate(); err != nil {
		panic(err)
	}
	var k Key
	low := (prot.Copies - 1) << 4
	if prot.Coded() {
		n := uint32(prot.Width())
		p.Specific = uint32(prot.K)<<18 | uint32(prot.M)<<12 | n<<4
		low = classEC << 4
	}
	binary.BigEndian.PutUint64(k[3:], p.Object)
	binary.BigEndian.PutUint32(k[11:], p.Volume)
	binary.BigEndian.PutUint32(k[15:], uint32(p.Service)<<24|p.Specific&0xffffff)
	sum := md5.Sum(k[3:19])
	copy(k[:3], sum[:3])
	k[19] = low
	return k
}

// ParseKey reads 40 hex digits, upper or lower case, and checks class and
// index against the layout. Anything else is errs.Invalid.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != 2*KeyLen {
		return k, errs.E("chunk.ParseKey", errs.Invalid, "key has %d digits, want %d", len(s), 2*KeyLen)
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Key{}, errs.E("chunk.ParseKey", errs.Invalid, "key %q is not hexadecimal", s)
	}
	if err := k.Validate(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// Validate returns errs.Invalid when class, k, m, schema or index do not fit the layout.
func (k Key) Validate() error {
	prot, err := k.protection()
	if err != nil {
		return err
	}
	if i := k.Index(); i >= prot.Width() {
		return errs.E("chunk.Key", errs.Invalid, "key %s: index %d of %s", k, i, prot)
	}
	return nil
}

// String returns 40 upper-case hex digits.
func (k Key) String() string { return fmt.Sprintf("%X", k[:]) }

// Position returns the top 64 bits: where the group lies on the ring.
func (k Key) Position() uint64 { return binary.BigEndian.Uint64(k[:8]) }

// Payload returns the middle of the key.
func (k Key) Payload() Payload {
	low := binary.BigEndian.Uint32(k[15:])
	return Payload{
		Object:   binary.BigEndian.Uint64(k[3:]),
		Volume:   binary.BigEndian.Uint32(k[11:]),
		Service:  uint8(low >> 24),
		Specific: low & 0xffffff,
	}
}

// Class returns the class-of-service nibble: 0-5 copies, 7 erasure coding.
func (k Key) Class() uint8 { return k[19] >> 4 }

// Protection returns the policy the key carries; the zero Protection if it is malformed.
func (k Key) Protection() Protection {
	p, err := k.protection()
	if err != nil {
		return Protection{}
	}
	return p
}

// Index returns which copy or fragment of its group the key names, from 0.
func (k Key) Index() int {
	i := int(k[19] & 15)
	if k.Class() == classEC {
		i |= int(k[18]&15) << 4
	}
	return i
}

// Sibling returns the key of copy or fragment i of k's group; Sibling(0) is the main key.
func (k Key) Sibling(i int) Key {
	k[19] = k[19]&0xf0 | byte(i&15)
	if k.Class() == classEC {
		k[18] = k[18]&0xf0 | byte(i>>4&15)
	}
	return k
}

// Main returns the group's main key, index 0: the group's name.
func (k Key) Main() Key { return k.Sibling(0) }

func (k Key) protection() (Protection, error) {
	c := k.Class()
	if c <= 5 {
		return Replicas(c + 1), nil
	}
	if c != classEC {
		return Protection{}, errs.E("chunk.Key", errs.Invalid, "key %X: class %d is not defined", k[:], c)
	}
	spec := k.Payload().Specific
	p := EC(uint8(spec>>18), uint8(spec>>12&63))
	schema := int(spec >> 4 & 255)
	if err := p.Validate(); err != nil {
		return Protection{}, err
	}
	if schema < p.Width() {
		return Protection{}, errs.E("chunk.Key", errs.Invalid, "key %X: schema %d below width %d", k[:], schema, p.Width())
	}
	return p, nil
}
