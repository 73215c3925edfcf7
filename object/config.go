package object

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// Config is all that a Service needs. Zero limits take their defaults.
type Config struct {
	DB     meta.DB
	Chunks chunk.Store // main keys only: the key says its policy (package protect)
	Clock  clock.Clock
	Log    *slog.Logger
	// Name is this connector's name, unique among the connectors that live at
	// one time and the same after a restart: opening a session under a name
	// closes what its previous life left open.
	Name   string
	Policy Policy

	StripeSize    int64         `default:"8388608" help:"bytes of data in one stripe"`
	StripesInWork int           `default:"3" help:"stripes of one put written at a time"`
	ReadAhead     int           `default:"2" help:"stripes of one get read ahead of the client"`
	BodyBytesMax  int64         `default:"268435456" help:"bytes of bodies in memory, of all requests together"`
	AdmitWait     time.Duration `default:"5s" help:"how long a request waits for memory before it is told to slow down"`
	CommitTimeout time.Duration `default:"30s" help:"how long a commit may take once the bytes are durable"`
	BucketAge     time.Duration `default:"5s" help:"how long a name is believed to mean the same bucket; commands verify it"`
	RotateAfter   time.Duration `default:"10m" help:"how long a session with outcomes in doubt stays in use"`
}

// Defaults of Config.
const (
	DefaultStripesInWork = 3
	DefaultReadAhead     = 2
	DefaultBodyBytesMax  = 256 << 20
	DefaultAdmitWait     = 5 * time.Second
	DefaultCommitTimeout = 30 * time.Second
	DefaultBucketAge     = 5 * time.Second
	DefaultRotateAfter   = 10 * time.Minute
	// admitWaitersMax bounds the requests that wait for memory.
	admitWaitersMax = 1024
	// cleanupTimeout bounds the removal of an aborted put's bytes, which goes on
	// after its client has left.
	cleanupTimeout = 15 * time.Second
	// resolveTimeout bounds the question whether a commit without reply happened.
	resolveTimeout = 5 * time.Second
	// systemMetaLenMax bounds the standard headers kept with an object, in bytes.
	systemMetaLenMax = 16 << 10
	// nameLenMax bounds the names of buckets, accounts and connectors, in bytes.
	nameLenMax = 255
)

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) complete() error {
	const op = "object.New"
	orDefault(&c.StripeSize, StripeSizeMax)
	orDefault(&c.StripesInWork, DefaultStripesInWork)
	orDefault(&c.ReadAhead, DefaultReadAhead)
	orDefault(&c.BodyBytesMax, DefaultBodyBytesMax)
	orDefault(&c.AdmitWait, DefaultAdmitWait)
	orDefault(&c.CommitTimeout, DefaultCommitTimeout)
	orDefault(&c.BucketAge, DefaultBucketAge)
	orDefault(&c.RotateAfter, DefaultRotateAfter)
	orDefault(&c.Policy.SmallSize, DefaultSmallSize)
	switch {
	case c.DB == nil || c.Chunks == nil || c.Clock == nil || c.Log == nil:
		return errs.E(op, errs.Invalid, "DB, Chunks, Clock and Log are required")
	case c.Name == "" || len(c.Name) > nameLenMax:
		return errs.E(op, errs.Invalid, "connector name %q: 1 to %d bytes", c.Name, nameLenMax)
	case c.StripeSize < 1 || c.StripeSize > StripeSizeMax:
		return errs.E(op, errs.Invalid, "stripe size %d bytes: 1 to %d", c.StripeSize, StripeSizeMax)
	case c.StripesInWork < 1 || c.ReadAhead < 0:
		return errs.E(op, errs.Invalid, "%d stripes in work, %d read ahead", c.StripesInWork, c.ReadAhead)
	case c.BodyBytesMax < c.StripeSize || c.BodyBytesMax < c.Policy.SmallSize:
		return errs.E(op, errs.Invalid, "%d bytes of bodies in memory do not hold one stripe", c.BodyBytesMax)
	case c.Policy.SmallSize < 0 || c.Policy.SmallSize > StripeSizeMax:
		return errs.E(op, errs.Invalid, "small size %d bytes: 0 to %d", c.Policy.SmallSize, StripeSizeMax)
	}
	return firstError(c.Policy.Small.Validate(), c.Policy.Large.Validate())
}

// Service is waist 2: buckets, objects, uploads. Any number of them, on any
// servers, serve the same data; none holds state that another needs.
type Service struct {
	cfg      Config
	db       meta.DB
	chunks   chunk.Store
	hlc      *clock.HLC
	mem      *admission
	sessions *sessions

	mu      sync.Mutex
	buckets map[BucketName]cachedBucket
}

// New returns a Service. It does no I/O: the session opens with the first write
// or with Start, and stays until Close.
func New(cfg Config) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Service{
		cfg: cfg, db: cfg.DB, chunks: cfg.Chunks, hlc: clock.NewHLC(cfg.Clock, 0),
		mem:      &admission{sem: semaphore.NewWeighted(cfg.BodyBytesMax), size: cfg.BodyBytesMax, wait: cfg.AdmitWait},
		sessions: &sessions{db: cfg.DB, clock: cfg.Clock, log: cfg.Log, name: cfg.Name, rotateAfter: cfg.RotateAfter},
		buckets:  map[BucketName]cachedBucket{},
	}, nil
}
