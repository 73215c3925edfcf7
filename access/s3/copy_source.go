package s3

import (
	"net/url"
	"strings"

	"torc/internal/errs"
	"torc/object"
)

// parseCopySource reads x-amz-copy-source: "[/]bucket/key", form-encoded (so a
// plus is a space, as S3 takes it), with "?versionId=" after it at most.
func parseCopySource(header string) (target, error) {
	bad := invalidArgument("x-amz-copy-source", header,
		"Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	if strings.HasPrefix(header, "arn:") {
		return target{}, notImplemented("x-amz-copy-source", "Access points are not implemented.")
	}
	path, query, hasQuery := strings.Cut(header, "?")
	if hasQuery {
		version, ok := strings.CutPrefix(query, "versionId=")
		if !ok {
			return target{}, bad
		}
		if version != "null" {
			return target{}, invalidArgument("x-amz-copy-source", header, "Invalid version id specified")
		}
	}
	path, err := url.QueryUnescape(path)
	if err != nil {
		return target{}, bad.because(err)
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || bucket == "" || key == "" {
		return target{}, bad
	}
	name := object.BucketName(bucket)
	if err := checkBucketName(name); err != nil {
		return target{}, err
	}
	return target{bucket: name, key: key}, checkKey(key)
}

// openSource finds the object to copy from and checks the copy's conditions.
func (c *call) openSource() (target, object.Object, error) {
	src, err := parseCopySource(c.r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return src, object.Object{}, err
	}
	b, o, err := c.h.cfg.Objects.Stat(c.ctx, src.bucket, src.key)
	switch object.ReasonOf(err) {
	case object.NoBucket:
		return src, o, fail("NoSuchBucket").with("BucketName", string(src.bucket)).because(err)
	case object.NoKey:
		if _, denied := c.ownedBucket(src.bucket); denied != nil {
			return src, o, denied
		}
		return src, o, fail("NoSuchKey").with("Key", src.key).because(err)
	}
	if err != nil {
		return src, o, errs.Wrap("s3: open copy source", err)
	}
	if err := c.mayUse(b); err != nil {
		return src, o, err
	}
	return src, o, conditionsOf(c.r.Header, "X-Amz-Copy-Source-").check(&o, true)
}
