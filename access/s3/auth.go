package s3

import (
	"torc/access/s3/sigv4"
	"torc/identity"
	"torc/object"
)

// authenticator finds out who sent a request.
type authenticator struct {
	verifier *sigv4.Verifier
	err      error // why there is no verifier
}

func newAuthenticator(cfg Config) *authenticator {
	v, err := sigv4.New(sigv4.Config{Region: cfg.Region, Clock: cfg.Clock, Credentials: cfg.Identity})
	return &authenticator{verifier: v, err: err}
}

// authenticate verifies the signature and refuses anonymous requests: nothing
// is public. It reads no body.
func (a *authenticator) authenticate(c *call) error {
	if a.err != nil {
		return a.err
	}
	auth, err := a.verifier.Verify(c.ctx, c.r)
	if err != nil {
		return err
	}
	if auth.Anonymous {
		return fail("AccessDenied")
	}
	c.auth = auth
	c.cred = identity.Credential{Key: identity.AccessKey{ID: auth.AccessKeyID}, Account: auth.Account}
	// A name may change hands between an operation's own look and what it does.
	c.ctx = object.ActingFor(c.ctx, c.owner())
	return nil
}
