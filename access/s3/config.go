package s3

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"torc/identity"
	"torc/internal/clock"
	"torc/object"
)

// Identity finds who an access key belongs to. Lookup answers errs.NotFound for
// a key that does not exist or is not active. *identity.Service is one.
type Identity interface {
	Lookup(ctx context.Context, accessKeyID string) (identity.Credential, error)
}

// Buckets is what the connector needs of buckets; see object.Service.
type Buckets interface {
	CreateBucket(ctx context.Context, name object.BucketName, owner object.AccountID, region string) (object.Bucket, error)
	Bucket(ctx context.Context, name object.BucketName) (object.Bucket, error)
	// CachedBucket may be out of date for seconds about which bucket a name means.
	CachedBucket(ctx context.Context, name object.BucketName) (object.Bucket, error)
	Buckets(ctx context.Context, owner object.AccountID, prefix, after string, limit int) ([]object.Bucket, bool, error)
	DeleteBucket(ctx context.Context, name object.BucketName) error
}

// Reader is what the connector needs to read objects; see object.Service.
type Reader interface {
	Stat(ctx context.Context, b object.BucketName, key string) (object.Bucket, object.Object, error)
	WriteRange(ctx context.Context, w io.Writer, o object.Object, off, n int64) error
	Open(ctx context.Context, o object.Object, off, n int64) io.ReadCloser
	List(ctx context.Context, r object.ListRequest) (object.ListPage, error)
}

// Writer is what the connector needs to change objects; see object.Service.
type Writer interface {
	Put(ctx context.Context, r object.PutRequest) (object.Object, error)
	Delete(ctx context.Context, b object.BucketName, item object.DeleteItem) error
	DeleteMany(ctx context.Context, b object.BucketName, items []object.DeleteItem) ([]object.DeleteResult, error)
}

// Uploads is what the connector needs of multipart uploads; see object.Service.
type Uploads interface {
	CreateUpload(ctx context.Context, r object.UploadRequest) (object.Upload, error)
	Upload(ctx context.Context, b object.BucketName, key string, id object.UploadID) (object.Upload, error)
	PutPart(ctx context.Context, r object.PartRequest) (object.Part, error)
	Parts(ctx context.Context, b object.BucketName, key string, id object.UploadID, after, limit int) (object.PartsPage, error)
	Uploads(ctx context.Context, r object.UploadsRequest) (object.UploadsPage, error)
	Complete(ctx context.Context, r object.CompleteRequest) (object.Object, error)
	Abort(ctx context.Context, b object.BucketName, key string, id object.UploadID) error
}

// Objects is waist 2 as this connector sees it. *object.Service is one.
type Objects interface {
	Buckets
	Reader
	Writer
	Uploads
}

// Config is what a Handler is made of. Objects and Identity are required; the
// zero value of the rest is a working default.
type Config struct {
	Objects  Objects
	Identity Identity

	// Region is the name clients sign for; default us-east-1.
	Region string
	// Domains are the host names, without port, whose subdomains are bucket
	// names (virtual-host style). Path style works under any host.
	Domains []string
	// ServerName is the Server header; default Torc.
	ServerName string

	Log       *slog.Logger // faults; default: discarded
	AccessLog *slog.Logger // one line per request at level info; default: Log at level debug
	Clock     clock.Clock  // default clock.System
	Metrics   Metrics      // default: none
	// Ready says whether the process can serve; nil is always. It backs /ready.
	Ready func(ctx context.Context) error

	RequestsMax      int           // default RequestsMax
	BodyIdleTimeout  time.Duration // default BodyIdleTimeout
	WriteIdleTimeout time.Duration // default WriteIdleTimeout
	// SlowAnswerInterval is how long CompleteMultipartUpload and the copies may
	// stay silent before the answer starts with white space.
	SlowAnswerInterval time.Duration
}

// withDefaults fills what was left out.
func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.ServerName == "" {
		c.ServerName = "Torc"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	if c.RequestsMax <= 0 {
		c.RequestsMax = RequestsMax
	}
	if c.BodyIdleTimeout <= 0 {
		c.BodyIdleTimeout = BodyIdleTimeout
	}
	if c.WriteIdleTimeout <= 0 {
		c.WriteIdleTimeout = WriteIdleTimeout
	}
	if c.SlowAnswerInterval <= 0 {
		c.SlowAnswerInterval = SlowAnswerInterval
	}
	domains := make([]string, 0, len(c.Domains))
	for _, d := range c.Domains {
		if d = strings.ToLower(strings.Trim(d, ".")); d != "" {
			domains = append(domains, d)
		}
	}
	c.Domains = domains
	return c
}

// Metrics receives one Observation per request. Implementations are safe for
// concurrent use and do not block.
type Metrics interface {
	Observe(o Observation)
}

// Observation is one finished request.
type Observation struct {
	Operation string // "PutObject", ...; "Unknown" when the request named none
	Status    int    // HTTP status
	Code      Code   // S3 error code, "" on success
	BytesIn   int64  // bytes of body taken from the client
	BytesOut  int64  // bytes of body sent
	Duration  time.Duration
}

type noMetrics struct{}

func (noMetrics) Observe(Observation) {}

// Handler serves the S3 protocol. Make it with New; safe for concurrent use.
type Handler struct {
	cfg      Config
	auth     *authenticator
	routes   routeTable
	slots    chan struct{} // one token per request under way
	large    chan struct{} // one token per request that holds a large document
	idPrefix uint32        // random, so that request ids differ between processes
	idNext   atomic.Uint64
}

// InFlight returns how many requests are being served: a gauge.
func (h *Handler) InFlight() int { return len(h.slots) }
