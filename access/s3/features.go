package s3

import (
	"net/http"
	"strings"
)

// refuseUnsupported answers 501 for request headers and parameters that ask for
// a feature which is not there, and the exact error where S3 has one. A header
// that promises protection (encryption, a lock, an ACL) is never ignored.
func (c *call) refuseUnsupported() error {
	if v := c.query.Get("versionId"); c.query.Has("versionId") && v != "null" {
		return invalidArgument("versionId", v, "Invalid version id specified")
	}
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		return c.refuseReadHeaders()
	}
	for name := range c.r.Header {
		if !strings.HasPrefix(name, "X-Amz-") || asksForNothing(name, c.r.Header.Get(name)) {
			continue
		}
		if sentence := unsupportedHeader(name); sentence != "" {
			return notImplemented(strings.ToLower(name), sentence)
		}
	}
	if v := c.r.Header.Get("X-Amz-Acl"); v != "" && v != "private" && v != "bucket-owner-full-control" {
		if !cannedACL(v) {
			return invalidArgument("x-amz-acl", v, "")
		}
		return notImplemented("x-amz-acl", "Access control lists are not implemented: buckets and objects are private to the owning account.")
	}
	if v := c.r.Header.Get("X-Amz-Storage-Class"); v != "" && v != "STANDARD" {
		return fail("InvalidStorageClass").with("StorageClassRequested", v)
	}
	if v := c.r.Header.Get("X-Amz-Object-Ownership"); v != "" && v != "BucketOwnerEnforced" {
		return notImplemented("x-amz-object-ownership", "Only BucketOwnerEnforced is implemented.")
	}
	return c.refuseOwner()
}

// refuseReadHeaders checks the few headers that change what a read means.
func (c *call) refuseReadHeaders() error {
	if c.r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return failf("InvalidRequest", "The encryption parameters are not applicable to this object.")
	}
	return c.refuseOwner()
}

// refuseOwner holds x-amz-expected-bucket-owner against the caller's account:
// only the owner is served, so another expected owner is refused at once.
func (c *call) refuseOwner() error {
	for _, name := range []string{"X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"} {
		if v := c.r.Header.Get(name); v != "" && v != string(c.cred.Account.ID) {
			return fail("AccessDenied")
		}
	}
	return nil
}

// unsupportedHeader returns why a header (canonical name) is refused, or "".
func unsupportedHeader(name string) string {
	switch {
	case name == "X-Amz-Bucket-Object-Lock-Enabled", strings.HasPrefix(name, "X-Amz-Object-Lock-"),
		name == "X-Amz-Bypass-Governance-Retention":
		return "Object Lock is not implemented."
	case strings.HasPrefix(name, "X-Amz-Server-Side-Encryption"),
		strings.HasPrefix(name, "X-Amz-Copy-Source-Server-Side-Encryption"):
		return "Server-side encryption is not implemented."
	case name == "X-Amz-Tagging", name == "X-Amz-Tagging-Directive":
		return "Object tags are not implemented."
	case strings.HasPrefix(name, "X-Amz-Grant-"):
		return "Grants are not implemented: buckets and objects are private to the owning account."
	case name == "X-Amz-Website-Redirect-Location":
		return "Website hosting is not implemented."
	case name == "X-Amz-Write-Offset-Bytes":
		return "Appending to objects is not implemented."
	case name == "X-Amz-Mfa":
		return "MFA delete is not implemented."
	case name == "X-Amz-Bucket-Namespace":
		return "Bucket namespaces are not implemented."
	}
	return ""
}

// asksForNothing reports a header of an absent feature that says "without it":
// tools send these routinely.
func asksForNothing(name, value string) bool {
	switch name {
	case "X-Amz-Bucket-Object-Lock-Enabled":
		return strings.EqualFold(value, "false")
	case "X-Amz-Tagging-Directive":
		return value == "COPY"
	}
	return false
}

// cannedACL reports whether S3 knows the canned ACL.
func cannedACL(v string) bool {
	switch v {
	case "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read",
		"bucket-owner-read", "bucket-owner-full-control", "log-delivery-write":
		return true
	}
	return false
}
