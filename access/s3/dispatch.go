package s3

import (
	"net/http"
	"sort"
	"strings"
)

const opUnknown = "Unknown"

// scope is what a request's URL names.
type scope uint8

const (
	scopeService scope = iota
	scopeBucket
	scopeObject
)

// route is one operation. Two routes with the same scope, method and
// sub-resource differ in the header that the first one needs.
type route struct {
	scope  scope
	method string
	sub    string // sub-resource, a query parameter; "" for none
	header string // header that must be there; "" for none
	op     string
	handle func(*call) error
}

// routes is every operation that is served, in the order they are tried.
func routes() []route {
	return []route{
		{scopeService, "GET", "", "", "ListBuckets", (*call).listBuckets},

		{scopeBucket, "PUT", "", "", "CreateBucket", (*call).createBucket},
		{scopeBucket, "HEAD", "", "", "HeadBucket", (*call).headBucket},
		{scopeBucket, "DELETE", "", "", "DeleteBucket", (*call).deleteBucket},
		{scopeBucket, "GET", "location", "", "GetBucketLocation", (*call).getBucketLocation},
		{scopeBucket, "GET", "", "", "ListObjects", (*call).listObjects},
		{scopeBucket, "GET", "list-type", "", "ListObjectsV2", (*call).listObjectsV2},
		{scopeBucket, "POST", "delete", "", "DeleteObjects", (*call).deleteObjects},
		{scopeBucket, "GET", "uploads", "", "ListMultipartUploads", (*call).listMultipartUploads},

		{scopeBucket, "GET", "versioning", "", "GetBucketVersioning", (*call).getBucketVersioning},
		{scopeBucket, "GET", "acl", "", "GetBucketAcl", (*call).getBucketACL},
		{scopeBucket, "GET", "notification", "", "GetBucketNotificationConfiguration", (*call).getBucketNotification},
		{scopeBucket, "GET", "logging", "", "GetBucketLogging", (*call).getBucketLogging},
		{scopeBucket, "GET", "requestPayment", "", "GetBucketRequestPayment", (*call).getBucketRequestPayment},
		{scopeBucket, "GET", "accelerate", "", "GetBucketAccelerateConfiguration", (*call).getBucketAccelerate},
		{scopeBucket, "GET", "policy", "", "GetBucketPolicy", notConfigured("NoSuchBucketPolicy")},
		{scopeBucket, "GET", "policyStatus", "", "GetBucketPolicyStatus", notConfigured("NoSuchBucketPolicy")},
		{scopeBucket, "GET", "lifecycle", "", "GetBucketLifecycleConfiguration", notConfigured("NoSuchLifecycleConfiguration")},
		{scopeBucket, "GET", "cors", "", "GetBucketCors", notConfigured("NoSuchCORSConfiguration")},
		{scopeBucket, "GET", "tagging", "", "GetBucketTagging", notConfigured("NoSuchTagSet")},
		{scopeBucket, "GET", "object-lock", "", "GetObjectLockConfiguration", notConfigured("ObjectLockConfigurationNotFoundError")},
		{scopeBucket, "GET", "replication", "", "GetBucketReplication", notConfigured("ReplicationConfigurationNotFoundError")},
		{scopeBucket, "GET", "website", "", "GetBucketWebsite", notConfigured("NoSuchWebsiteConfiguration")},
		{scopeBucket, "GET", "encryption", "", "GetBucketEncryption", notConfigured("ServerSideEncryptionConfigurationNotFoundError")},
		{scopeBucket, "GET", "publicAccessBlock", "", "GetPublicAccessBlock", notConfigured("NoSuchPublicAccessBlockConfiguration")},
		{scopeBucket, "GET", "ownershipControls", "", "GetBucketOwnershipControls", notConfigured("OwnershipControlsNotFoundError")},

		{scopeObject, "GET", "uploadId", "", "ListParts", (*call).listParts},
		{scopeObject, "GET", "acl", "", "GetObjectAcl", (*call).getObjectACL},
		{scopeObject, "GET", "tagging", "", "GetObjectTagging", (*call).getObjectTagging},
		{scopeObject, "GET", "", "", "GetObject", (*call).getObject},
		{scopeObject, "HEAD", "", "", "HeadObject", (*call).headObject},
		{scopeObject, "PUT", "uploadId", "X-Amz-Copy-Source", "UploadPartCopy", (*call).uploadPartCopy},
		{scopeObject, "PUT", "uploadId", "", "UploadPart", (*call).uploadPart},
		{scopeObject, "PUT", "", "X-Amz-Copy-Source", "CopyObject", (*call).copyObject},
		{scopeObject, "PUT", "", "", "PutObject", (*call).putObject},
		{scopeObject, "POST", "uploads", "", "CreateMultipartUpload", (*call).createMultipartUpload},
		{scopeObject, "POST", "uploadId", "", "CompleteMultipartUpload", (*call).completeMultipartUpload},
		{scopeObject, "DELETE", "uploadId", "", "AbortMultipartUpload", (*call).abortMultipartUpload},
		{scopeObject, "DELETE", "", "", "DeleteObject", (*call).deleteObject},
	}
}

// unserved are the sub-resources of S3 that no route has: a request that names
// one is refused, never taken for the operation without it.
var unserved = []string{
	"abac", "analytics", "annotation", "attributes", "intelligent-tiering", "inventory", "legal-hold",
	"metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics",
	"quota", "renameObject", "restore", "retention", "search", "select", "session", "torrent", "versions",
}

type routeKey struct {
	scope  scope
	method string
	sub    string
}

// routeTable finds the operation of a request. It is not changed after newRouteTable.
type routeTable struct {
	routes map[routeKey][]route
	subs   map[string]bool // every sub-resource, served or not
}

func newRouteTable() routeTable {
	t := routeTable{routes: map[routeKey][]route{}, subs: map[string]bool{}}
	for _, r := range routes() {
		k := routeKey{r.scope, r.method, r.sub}
		t.routes[k] = append(t.routes[k], r)
		if r.sub != "" {
			t.subs[r.sub] = true
		}
	}
	for _, s := range unserved {
		t.subs[s] = true
	}
	return t
}

// find returns the route of a request: 501 for a sub-resource or method of S3
// that is not served, 405 for a method that S3 has not.
func (t routeTable) find(c *call) (route, error) {
	var subs []string
	for name := range c.query {
		if t.subs[name] {
			subs = append(subs, name)
		}
	}
	sub := ""
	switch len(subs) {
	case 0:
	case 1:
		sub = subs[0]
	default:
		sort.Strings(subs)
		return route{}, failf("InvalidArgument", "Conflicting query string parameters: "+strings.Join(subs, ", ")).
			with("ArgumentName", "ResourceType").with("ArgumentValue", subs[0])
	}
	sc := c.scope()
	for _, r := range t.routes[routeKey{sc, c.r.Method, sub}] {
		if r.header == "" || c.r.Header.Get(r.header) != "" {
			return r, nil
		}
	}
	return route{}, unroutable(c.r.Method, sc, sub)
}

// scope says what the request's URL names.
func (c *call) scope() scope {
	switch {
	case c.bucket == "":
		return scopeService
	case c.key == "":
		return scopeBucket
	}
	return scopeObject
}

// unroutable is the error for a request that no route takes.
func unroutable(method string, sc scope, sub string) error {
	kind := [...]string{"SERVICE", "BUCKET", "OBJECT"}[sc]
	if sub != "" {
		return failf("NotImplemented", "This operation is not implemented: "+method+" of the sub-resource '"+sub+"'.").
			with("Method", method).with("ResourceType", strings.ToUpper(sub))
	}
	switch {
	case method == http.MethodPost && sc == scopeBucket:
		return failf("NotImplemented", "Uploads by an HTML form (POST policy) are not implemented.")
	case method == http.MethodOptions:
		return failf("NotImplemented", "CORS is not implemented.")
	}
	return fail("MethodNotAllowed").with("Method", method).with("ResourceType", kind)
}
