package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// keyCacheMax bounds the signing keys kept: one an access key and day.
const keyCacheMax = 4096

// signingKey is the day's key of one secret for one region and service.
type signingKey struct {
	b [sha256.Size]byte
}

func deriveKey(secret, date, region, service string) *signingKey {
	k := mac([]byte("AWS4"+secret), date)
	k = mac(k[:], region)
	k = mac(k[:], service)
	return &signingKey{mac(k[:], terminal)}
}

func mac(key []byte, data string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	h.Sum(sum[:0])
	return sum
}

func (k *signingKey) sign(toSign []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, k.b[:])
	h.Write(toSign)
	h.Sum(sum[:0])
	return sum
}

func (k *signingKey) matches(toSign []byte, signature string) bool {
	return equalHex(k.sign(toSign), signature)
}

// keyID names a signing key; region and service are the verifier's. The hash of
// the secret makes a changed secret miss.
type keyID struct {
	accessKeyID string
	date        string
	secret      [sha256.Size]byte
}

// keyCache keeps derived keys. The zero value is ready.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyID]*signingKey
}

func (c *keyCache) get(id keyID, derive func() *signingKey) *signingKey {
	c.mu.RLock()
	k := c.keys[id]
	c.mu.RUnlock()
	if k != nil {
		return k
	}
	k = derive()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[keyID]*signingKey)
	}
	for old := range c.keys {
		if len(c.keys) < keyCacheMax {
			break
		}
		delete(c.keys, old) // map order is random enough: a miss costs four HMACs
	}
	c.keys[id] = k
	return k
}
