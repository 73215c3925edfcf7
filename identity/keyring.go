package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"torc/internal/errs"
)

// RingKeyLen is the length of a sealing key in bytes: AES-256.
const RingKeyLen = 32

// Keyring holds the keys that seal secrets, by id. New secrets are sealed under
// Current; the others open what was sealed before.
type Keyring struct {
	Current string
	Keys    map[string][]byte // RingKeyLen bytes each
}

// LogValue keeps the keys out of logs.
func (k Keyring) String() string { return "keyring, current key " + k.Current }

// GoString implements fmt.GoStringer without the keys.
func (k Keyring) GoString() string { return k.String() }

// sealer seals and opens secrets.
type sealer struct {
	current string
	aead    map[string]cipher.AEAD
}

func newSealer(ring Keyring) (*sealer, error) {
	const op = "identity: open keyring"
	s := &sealer{current: ring.Current, aead: map[string]cipher.AEAD{}}
	for id, key := range ring.Keys {
		if id == "" || len(id) > NameLenMax || len(key) != RingKeyLen {
			return nil, errs.E(op, errs.Invalid, "key %q has %d bytes, want an id and %d bytes", id, len(key), RingKeyLen)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if s.aead[id], err = cipher.NewGCM(block); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	if s.aead[ring.Current] == nil {
		return nil, errs.E(op, errs.Invalid, "the current key %q is not in the ring", ring.Current)
	}
	return s, nil
}

// sealedSecret is a secret as it is stored.
type sealedSecret struct {
	Ring string `json:"ring"` // id of the sealing key
	Box  []byte `json:"box"`  // nonce, then ciphertext and tag
}

// bound is the additional data that ties a sealed secret to its record.
func bound(accessKeyID string, account AccountID) []byte {
	return []byte("torc access key\x00" + accessKeyID + "\x00" + string(account))
}

func (s *sealer) seal(secret, accessKeyID string, account AccountID) (sealedSecret, error) {
	aead := s.aead[s.current]
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return sealedSecret{}, errs.Wrap("identity: seal", err)
	}
	return sealedSecret{s.current, aead.Seal(nonce, nonce, []byte(secret), bound(accessKeyID, account))}, nil
}

func (s *sealer) open(b sealedSecret, accessKeyID string, account AccountID) (string, error) {
	const op = "identity: open secret"
	aead := s.aead[b.Ring]
	if aead == nil {
		return "", errs.E(op, errs.Corrupt, "the secret of %s is sealed under key %q, which is not in the ring", accessKeyID, b.Ring)
	}
	if len(b.Box) < aead.NonceSize() {
		return "", errs.E(op, errs.Corrupt, "the sealed secret of %s is truncated", accessKeyID)
	}
	n := aead.NonceSize()
	plain, err := aead.Open(nil, b.Box[:n], b.Box[n:], bound(accessKeyID, account))
	if err != nil {
		return "", errs.E(op, errs.Corrupt, "the sealed secret of %s does not open under key %q", accessKeyID, b.Ring)
	}
	return string(plain), nil
}
