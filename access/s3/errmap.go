package s3

import (
	"errors"

	"torc/access/s3/checksum"
	"torc/access/s3/sigv4"
	"torc/internal/errs"
	"torc/object"
)

// answerFor is the one table from errors to S3 answers: first answers of our
// own, then those of the signature and checksum packages, then object's
// reasons, then the kinds. What is left is InternalError.
func answerFor(err error, c *call) *apiError {
	var own *apiError
	if errors.As(err, &own) {
		return own
	}
	var sig *sigv4.Error
	if errors.As(err, &sig) {
		e := failf(Code(sig.Code), sig.Message).because(err)
		e.Status = sig.Status
		for _, d := range sig.Details {
			e = e.with(d.Name, d.Value)
		}
		return e
	}
	var sum *checksum.Error
	if errors.As(err, &sum) {
		e := failf(Code(sum.Code), sum.Message).because(err)
		e.Status = sum.Status
		for _, d := range sum.Details {
			e = e.with(d.Name, d.Value)
		}
		return e
	}
	if e := reasonAnswer(object.ReasonOf(err), c); e != nil {
		return e.because(err)
	}
	return kindAnswer(errs.KindOf(err)).because(err)
}

// reasonAnswer answers object's reasons.
func reasonAnswer(r object.Reason, c *call) *apiError {
	switch r {
	case object.NoBucket:
		return fail("NoSuchBucket").with("BucketName", string(c.bucket))
	case object.NoKey:
		return fail("NoSuchKey").with("Key", c.key)
	case object.NoUpload:
		return fail("NoSuchUpload").with("UploadId", c.query.Get("uploadId"))
	case object.NotOwner:
		return fail("AccessDenied")
	case object.BucketExists:
		return fail("BucketAlreadyExists").with("BucketName", string(c.bucket))
	case object.BucketNotEmpty:
		return fail("BucketNotEmpty").with("BucketName", string(c.bucket))
	case object.InvalidPart:
		return fail("InvalidPart").with("UploadId", c.query.Get("uploadId"))
	case object.PartOrder:
		return fail("InvalidPartOrder").with("UploadId", c.query.Get("uploadId"))
	case object.PartTooSmall:
		return fail("EntityTooSmall").with("MinSizeAllowed", itoa(object.PartSizeMin))
	case object.KeyTooLong:
		return fail("KeyTooLongError").with("MaxSizeAllowed", itoa(object.KeyLenMax))
	case object.BodyTooShort, object.BodyTooLong:
		return fail("IncompleteBody")
	case object.SizeTooLarge:
		return fail("EntityTooLarge")
	case object.BucketReplaced, object.SessionClosed: // SDKs repeat it by themselves
		return fail("ServiceUnavailable")
	case object.NotHeld:
		return fail("PreconditionFailed").with("Condition", c.heldCondition())
	}
	return nil
}

// heldCondition names the write condition that the client sent.
func (c *call) heldCondition() string {
	for _, name := range []string{"If-None-Match", "If-Match"} {
		if c.r.Header.Get(name) != "" {
			return name
		}
	}
	return "If-Match"
}

// kindAnswer answers an error's kind where there is no reason.
func kindAnswer(k errs.Kind) *apiError {
	switch k {
	case errs.Permission:
		return fail("AccessDenied")
	case errs.Invalid:
		return fail("InvalidRequest")
	case errs.Precondition:
		return fail("PreconditionFailed")
	case errs.Conflict, errs.Stale:
		return fail("ConditionalRequestConflict")
	case errs.TooLarge:
		return fail("EntityTooLarge")
	case errs.OutOfRange:
		return fail("InvalidRange")
	case errs.Unsupported:
		return failf("NotImplemented", "This operation is not implemented.")
	case errs.Overload:
		return fail("SlowDown")
	case errs.Unavailable, errs.Timeout, errs.Moved, errs.Closed, errs.Canceled, errs.Unknown:
		// Unknown and Timeout may have taken effect: SDKs retry, and every S3
		// write may be repeated.
		return fail("ServiceUnavailable")
	case errs.Full:
		return fail("InsufficientStorage")
	}
	// Other, Corrupt, and NotFound or Exists without a reason: the record is
	// there, so what is missing is our fault and never NoSuchKey.
	return fail("InternalError")
}
