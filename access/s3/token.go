package s3

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// A continuation token is where a listing goes on: opaque to clients, checked
// against damage and against use on another bucket or operation. It gives no
// right that start-after does not give, so it is not a secret.
const (
	tokenBuckets byte = 'b'
	tokenObjects byte = 'o'
)

const tokenSumLen = 8

func tokenSum(kind byte, bucket, after string) []byte {
	h := sha256.New()
	h.Write([]byte{kind})
	h.Write([]byte(bucket))
	h.Write([]byte{0})
	h.Write([]byte(after))
	return h.Sum(nil)[:tokenSumLen]
}

// makeToken renders a position.
func makeToken(kind byte, bucket, after string) string {
	b := append(tokenSum(kind, bucket, after), after...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// continuation returns the position that the continuation-token parameter
// names, "" when there is none.
func (c *call) continuation(kind byte, bucket string) (string, error) {
	if !c.query.Has("continuation-token") {
		return "", nil
	}
	token := c.query.Get("continuation-token")
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > ContinuationLenMax || len(b) < tokenSumLen {
		return "", badToken(token)
	}
	after := string(b[tokenSumLen:])
	if subtle.ConstantTimeCompare(b[:tokenSumLen], tokenSum(kind, bucket, after)) != 1 {
		return "", badToken(token)
	}
	return after, nil
}

func badToken(token string) error {
	return invalidArgument("continuation-token", token, "The continuation token provided is incorrect")
}
