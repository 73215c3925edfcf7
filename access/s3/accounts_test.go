package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"strings"
	"testing"

	"torc/object"
)

// TestNoRouteServesAnotherAccount goes through the route table: what is added to
// it is tested. Every operation on another's bucket is refused and changes
// nothing; so is a copy out of it into one's own.
func TestNoRouteServesAnotherAccount(t *testing.T) {
	r := newRig(t, false)
	ctx := context.Background()
	r.must(200, "PUT", "/alices", "")
	r.must(200, "PUT", "/alices/k", "secret")
	up, err := r.store.CreateUpload(ctx, object.UploadRequest{Bucket: "alices", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	asBob := func(method, path, body string, headers ...string) reply {
		q := r.request(method, path, body, headers...)
		r.sign(q, bobKey, bobSecret)
		return r.sendRaw(q)
	}
	if got := asBob("PUT", "/bobs", ""); got.status != 200 {
		t.Fatalf("bob's bucket: %d", got.status)
	}
	bodies := map[string]string{
		"DeleteObjects":           "<Delete><Object><Key>k</Key></Object></Delete>",
		"CompleteMultipartUpload": `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e"</ETag></Part></CompleteMultipartUpload>`,
		"PutObject":               "bob was here", "UploadPart": "bob was here",
	}
	values := map[string]string{"list-type": "=2", "uploadId": "=" + string(up.ID) + "&partNumber=1"}
	for _, rt := range routes() {
		if rt.scope == scopeService {
			continue
		}
		path := "/alices"
		if rt.scope == scopeObject {
			path += "/k"
		}
		if rt.sub != "" {
			path += "?" + rt.sub + values[rt.sub]
		}
		sum := md5.Sum([]byte(bodies[rt.op]))
		headers := []string{"Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])}
		if rt.header != "" {
			headers = append(headers, rt.header+": /bobs/own")
		}
		got := asBob(rt.method, path, bodies[rt.op], headers...)
		switch {
		case rt.op == "CreateBucket":
			got.wantError(t, 409, "BucketAlreadyExists")
		case got.status != 403:
			t.Errorf("%s: status %d: %s", rt.op, got.status, got.body)
		}
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s tells: %s", rt.op, got.body)
		}
	}
	for _, key := range []string{"k", "none"} { // whether a key is there is no business of bob's either
		asBob("PUT", "/bobs/stolen", "", "X-Amz-Copy-Source: /alices/"+key).wantError(t, 403, "AccessDenied")
		asBob("GET", "/alices/"+key, "").wantError(t, 403, "AccessDenied")
	}
	mine, err := r.store.CreateUpload(ctx, object.UploadRequest{Bucket: "bobs", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	asBob("PUT", "/bobs/k?partNumber=1&uploadId="+string(mine.ID), "", "X-Amz-Copy-Source: /alices/k").wantError(t, 403, "AccessDenied")
	// An upload's id opens nothing under another bucket.
	asBob("PUT", "/bobs/k?partNumber=1&uploadId="+string(up.ID), "x").wantError(t, 404, "NoSuchUpload")
	asBob("DELETE", "/bobs/k?uploadId="+string(up.ID), "").wantError(t, 404, "NoSuchUpload")

	if got := r.must(200, "GET", "/alices/k", ""); got.body != "secret" {
		t.Errorf("alice's object is %q", got.body)
	}
	page, err := r.store.Parts(ctx, "alices", "k", up.ID, 0, 9)
	if err != nil || len(page.Parts) != 0 {
		t.Errorf("alice's upload: %+v, %v", page, err)
	}
	if got := asBob("GET", "/", ""); strings.Contains(got.body, "alices") {
		t.Errorf("bob's buckets: %s", got.body)
	}
}
