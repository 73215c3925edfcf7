package object

import (
	"context"
	"io"

	"torc/internal/errs"
)

// Service is waist 2: buckets, objects, uploads. Any number of them, on any
// servers, serve the same data; none holds state that another needs.
type Service struct{}

// CreateBucket makes a bucket. Exists if the name is taken (the stored Bucket is returned with the error).
func (s *Service) CreateBucket(ctx context.Context, name BucketName, owner AccountID, region string) (Bucket, error) {
	return Bucket{}, errs.Unsupported
}

// Bucket returns a bucket; NotFound (ErrNoBucket).
func (s *Service) Bucket(ctx context.Context, name BucketName) (Bucket, error) {
	return Bucket{}, errs.Unsupported
}

// Buckets lists an account's buckets in name order: names > after beginning with prefix, at most limit.
func (s *Service) Buckets(ctx context.Context, owner AccountID, prefix, after string, limit int) ([]Bucket, bool, error) {
	return nil, false, errs.Unsupported
}

// DeleteBucket removes an empty bucket (no objects, no uploads); ErrBucketNotEmpty otherwise.
func (s *Service) DeleteBucket(ctx context.Context, name BucketName) error { return errs.Unsupported }

// Put stores an object and returns it once it is durable.
func (s *Service) Put(ctx context.Context, r PutRequest) (Object, error) {
	return Object{}, errs.Unsupported
}

// Stat returns a bucket and an object of it. NotFound is ErrNoBucket or ErrNoKey.
func (s *Service) Stat(ctx context.Context, b BucketName, key string) (Bucket, Object, error) {
	return Bucket{}, Object{}, errs.Unsupported
}

// WriteRange writes n bytes of o from off to w, verified, stripe by stripe with read-ahead.
func (s *Service) WriteRange(ctx context.Context, w io.Writer, o Object, off, n int64) error {
	return errs.Unsupported
}

// Open returns a reader of n bytes of o from off; Close it.
func (s *Service) Open(ctx context.Context, o Object, off, n int64) io.ReadCloser { return nil }

// Delete removes an object. Absent is fine unless cond says otherwise.
func (s *Service) Delete(ctx context.Context, b BucketName, item DeleteItem) error {
	return errs.Unsupported
}

// DeleteMany removes up to DeleteManyMax objects, each independently, results in order.
func (s *Service) DeleteMany(ctx context.Context, b BucketName, items []DeleteItem) ([]DeleteResult, error) {
	return nil, errs.Unsupported
}

// List returns a page of a bucket; its cost depends on the page alone.
func (s *Service) List(ctx context.Context, r ListRequest) (ListPage, error) {
	return ListPage{}, errs.Unsupported
}

// CreateUpload starts a multipart upload.
func (s *Service) CreateUpload(ctx context.Context, r UploadRequest) (Upload, error) {
	return Upload{}, errs.Unsupported
}

// Upload returns an upload under way; ErrNoUpload.
func (s *Service) Upload(ctx context.Context, b BucketName, key string, id UploadID) (Upload, error) {
	return Upload{}, errs.Unsupported
}

// PutPart stores a part.
func (s *Service) PutPart(ctx context.Context, r PartRequest) (Part, error) {
	return Part{}, errs.Unsupported
}

// Parts lists an upload's parts with numbers > after.
func (s *Service) Parts(ctx context.Context, b BucketName, key string, id UploadID, after, limit int) (PartsPage, error) {
	return PartsPage{}, errs.Unsupported
}

// Uploads lists a bucket's uploads.
func (s *Service) Uploads(ctx context.Context, r UploadsRequest) (UploadsPage, error) {
	return UploadsPage{}, errs.Unsupported
}

// Complete turns an upload into an object. ErrInvalidPart, ErrPartOrder,
// ErrPartTooSmall, ErrNoUpload. Repeating a successful completion succeeds.
func (s *Service) Complete(ctx context.Context, r CompleteRequest) (Object, error) {
	return Object{}, errs.Unsupported
}

// Abort ends an upload and frees its parts.
func (s *Service) Abort(ctx context.Context, b BucketName, key string, id UploadID) error {
	return errs.Unsupported
}
