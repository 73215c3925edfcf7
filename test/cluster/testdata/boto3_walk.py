"""A walk through S3 with boto3, as its users write it. Every step asserts what
AWS answers. Endpoint, keys and CA come from the environment."""
import hashlib
import io
import os
import ssl
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4", retries={"max_attempts": 1}))
MODERN = tuple(int(x) for x in boto3.__version__.split(".")[:2]) >= (1, 36)


def fails(code, status, call, **kw):
    try:
        call(**kw)
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), (got, code, status)
        return e.response
    raise AssertionError(f"{call} did not fail with {code}")


B = "walk-" + hashlib.md5(ENDPOINT.encode()).hexdigest()[:8]
s3.create_bucket(Bucket=B)
assert B in [b["Name"] for b in s3.list_buckets()["Buckets"]]
assert s3.get_bucket_location(Bucket=B)["LocationConstraint"] is None
s3.head_bucket(Bucket=B)
fails("404", 404, s3.head_bucket, Bucket="no-such-bucket-here")
fails("NoSuchBucket", 404, s3.list_objects_v2, Bucket="no-such-bucket-here")

# Small, empty and erasure-coded objects, metadata, ETags.
for size in (0, 1, 59_999, 60_000, 3_000_001):
    body = os.urandom(size)
    put = s3.put_object(Bucket=B, Key=f"size/{size}", Body=body, ContentType="text/x-walk",
                        Metadata={"colour": "blue", "empty": ""}, CacheControl="max-age=5")
    assert put["ETag"] == '"%s"' % hashlib.md5(body).hexdigest()
    if MODERN:
        assert "ChecksumCRC32" in put, put
    got = s3.get_object(Bucket=B, Key=f"size/{size}")
    assert got["Body"].read() == body
    assert got["ContentType"] == "text/x-walk" and got["CacheControl"] == "max-age=5"
    assert got["Metadata"] == {"colour": "blue", "empty": ""}, got["Metadata"]
    assert got["ContentLength"] == size and got["AcceptRanges"] == "bytes"
    head = s3.head_object(Bucket=B, Key=f"size/{size}")
    assert head["ETag"] == put["ETag"] and head["ContentLength"] == size

# An empty body, then others on the same connection: each answered at once.
# (botocore sends Expect: 100-continue with every body, the empty one too.)
quick = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(read_timeout=20, retries={"max_attempts": 0}))
for size in (0, 1, 0, 70_000, 0, 5):
    quick.put_object(Bucket=B, Key=f"quick/{size}", Body=b"x" * size)
fails("NoSuchBucket", 404, quick.put_object, Bucket="no-such-bucket-here", Key="k", Body=b"")
quick.put_object(Bucket=B, Key="quick/1", Body=b"x")

# Ranges and conditions.
body = s3.get_object(Bucket=B, Key="size/3000001")["Body"].read()
etag = s3.head_object(Bucket=B, Key="size/3000001")["ETag"]
for spec, want in (("bytes=0-0", body[:1]), ("bytes=100-4999", body[100:5000]), ("bytes=-7", body[-7:]),
                   ("bytes=2999999-", body[2999999:]), ("bytes=5-99999999", body[5:])):
    got = s3.get_object(Bucket=B, Key="size/3000001", Range=spec)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == want, spec
fails("InvalidRange", 416, s3.get_object, Bucket=B, Key="size/3000001", Range="bytes=3000001-")
fails("304", 304, s3.get_object, Bucket=B, Key="size/1", IfNoneMatch=s3.head_object(Bucket=B, Key="size/1")["ETag"])
fails("PreconditionFailed", 412, s3.get_object, Bucket=B, Key="size/1", IfMatch='"x"')
fails("NoSuchKey", 404, s3.get_object, Bucket=B, Key="nothing")
fails("404", 404, s3.head_object, Bucket=B, Key="nothing")
if MODERN:
    fails("PreconditionFailed", 412, s3.put_object, Bucket=B, Key="size/1", Body=b"x", IfNoneMatch="*")

# Checksums that clients may ask for.
for algo in ("CRC32", "CRC32C", "SHA1", "SHA256") + (("CRC64NVME",) if MODERN else ()):
    try:
        put = s3.put_object(Bucket=B, Key=f"sum/{algo}", Body=b"checked", ChecksumAlgorithm=algo)
    except Exception as e:  # CRC32C and CRC64NVME need an extra package in some installations
        if "MissingDependency" in type(e).__name__:
            continue
        raise
    field = "Checksum" + algo
    got = s3.get_object(Bucket=B, Key=f"sum/{algo}", ChecksumMode="ENABLED")
    assert got[field] == put[field] and got["Body"].read() == b"checked"
fails("BadDigest", 400, s3.put_object, Bucket=B, Key="sum/bad", Body=b"abc",
      ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
fails("NoSuchKey", 404, s3.get_object, Bucket=B, Key="sum/bad")

# Awkward keys.
KEYS = ["a b", "a+b", "a%20b", "é/日本語", "trailing/", "//double", "dot/./dot/../x", "q?x=1&y", "#hash", "*'()!~"]
for k in KEYS:
    s3.put_object(Bucket=B, Key="odd/" + k, Body=k.encode())
for k in KEYS:
    assert s3.get_object(Bucket=B, Key="odd/" + k)["Body"].read() == k.encode(), k
listed = [o["Key"] for o in s3.list_objects_v2(Bucket=B, Prefix="odd/")["Contents"]]
assert listed == sorted(("odd/" + k for k in KEYS), key=lambda s: s.encode()), listed

# Listing with delimiter and pages, both versions.
for i in range(25):
    s3.put_object(Bucket=B, Key=f"list/d{i // 5}/f{i:02}", Body=b"")
    s3.put_object(Bucket=B, Key=f"list/top{i:02}", Body=b"")
seen, prefixes = [], []
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=B, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 4}):
    seen += [o["Key"] for o in page.get("Contents", [])]
    prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
assert seen == [f"list/top{i:02}" for i in range(25)], seen
assert prefixes == [f"list/d{i}/" for i in range(5)], prefixes
seen = []
for page in s3.get_paginator("list_objects").paginate(Bucket=B, Prefix="list/", PaginationConfig={"PageSize": 7}):
    seen += [o["Key"] for o in page.get("Contents", [])]
assert len(seen) == 50 and seen == sorted(seen)

# Copy, with and without new metadata.
s3.copy_object(Bucket=B, Key="copy/a", CopySource={"Bucket": B, "Key": "size/3000001"})
got = s3.get_object(Bucket=B, Key="copy/a")
assert got["Body"].read() == body and got["Metadata"]["colour"] == "blue"
s3.copy_object(Bucket=B, Key="copy/a", CopySource={"Bucket": B, "Key": "copy/a"}, MetadataDirective="REPLACE", Metadata={"new": "1"})
assert s3.head_object(Bucket=B, Key="copy/a")["Metadata"] == {"new": "1"}
fails("InvalidRequest", 400, s3.copy_object, Bucket=B, Key="copy/a", CopySource={"Bucket": B, "Key": "copy/a"})
fails("NoSuchKey", 404, s3.copy_object, Bucket=B, Key="copy/b", CopySource={"Bucket": B, "Key": "nothing"})

# Multipart by hand: parts replaced, copied, listed, completed; and aborted.
up = s3.create_multipart_upload(Bucket=B, Key="multi", Metadata={"kind": "multi"})["UploadId"]
one, two = os.urandom(5 << 20), os.urandom(123_457)
s3.upload_part(Bucket=B, Key="multi", UploadId=up, PartNumber=1, Body=b"to be replaced")
p1 = s3.upload_part(Bucket=B, Key="multi", UploadId=up, PartNumber=1, Body=one)
p2 = s3.upload_part_copy(Bucket=B, Key="multi", UploadId=up, PartNumber=2,
                         CopySource={"Bucket": B, "Key": "size/3000001"}, CopySourceRange="bytes=0-2999999")
fails("EntityTooSmall", 400, s3.complete_multipart_upload, Bucket=B, Key="multi", UploadId=up, MultipartUpload={"Parts": [
    {"PartNumber": 1, "ETag": p1["ETag"]}, {"PartNumber": 2, "ETag": p2["CopyPartResult"]["ETag"]},
    {"PartNumber": 3, "ETag": s3.upload_part(Bucket=B, Key="multi", UploadId=up, PartNumber=3, Body=two)["ETag"]}]})
p2 = s3.upload_part(Bucket=B, Key="multi", UploadId=up, PartNumber=2, Body=two)
parts = s3.list_parts(Bucket=B, Key="multi", UploadId=up)["Parts"]
assert [p["PartNumber"] for p in parts] == [1, 2, 3] and parts[0]["Size"] == len(one)
assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=B)["Uploads"]] == [up]
fails("InvalidPart", 400, s3.complete_multipart_upload, Bucket=B, Key="multi", UploadId=up,
      MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0"'}]})
fails("InvalidPartOrder", 400, s3.complete_multipart_upload, Bucket=B, Key="multi", UploadId=up, MultipartUpload={"Parts": [
    {"PartNumber": 2, "ETag": p2["ETag"]}, {"PartNumber": 1, "ETag": p1["ETag"]}]})
done = s3.complete_multipart_upload(Bucket=B, Key="multi", UploadId=up, MultipartUpload={"Parts": [
    {"PartNumber": 1, "ETag": p1["ETag"]}, {"PartNumber": 2, "ETag": p2["ETag"]}]})
want = hashlib.md5(hashlib.md5(one).digest() + hashlib.md5(two).digest()).hexdigest() + "-2"
assert done["ETag"] == '"%s"' % want, (done["ETag"], want)
got = s3.get_object(Bucket=B, Key="multi")
assert got["Body"].read() == one + two and got["Metadata"] == {"kind": "multi"}
assert s3.get_object(Bucket=B, Key="multi", PartNumber=2)["Body"].read() == two
up = s3.create_multipart_upload(Bucket=B, Key="gone")["UploadId"]
s3.upload_part(Bucket=B, Key="gone", UploadId=up, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket=B, Key="gone", UploadId=up)
fails("NoSuchUpload", 404, s3.upload_part, Bucket=B, Key="gone", UploadId=up, PartNumber=1, Body=b"x")
assert "Uploads" not in s3.list_multipart_uploads(Bucket=B)

# The transfer manager, and a file-like body.
big = os.urandom(20 << 20)
s3.upload_fileobj(io.BytesIO(big), B, "managed")
out = io.BytesIO()
s3.download_fileobj(B, "managed", out)
assert out.getvalue() == big

# Presigned URLs.
ctx = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]) if ENDPOINT.startswith("https") else None
url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "size/59999"}, ExpiresIn=60)
assert len(urllib.request.urlopen(url, context=ctx).read()) == 59_999
url = s3.generate_presigned_url("put_object", Params={"Bucket": B, "Key": "presigned"}, ExpiresIn=60)
req = urllib.request.Request(url, data=b"by url", method="PUT")
assert urllib.request.urlopen(req, context=ctx).status == 200
assert s3.get_object(Bucket=B, Key="presigned")["Body"].read() == b"by url"
try:
    urllib.request.urlopen(url.replace("presigned", "forged"), context=ctx)
    raise AssertionError("a forged URL was served")
except urllib.error.HTTPError as e:
    assert e.code == 403 and b"SignatureDoesNotMatch" in e.read()

# What is not there says so.
fails("NotImplemented", 501, s3.put_bucket_versioning, Bucket=B, VersioningConfiguration={"Status": "Enabled"})
fails("NotImplemented", 501, s3.put_bucket_lifecycle_configuration, Bucket=B, LifecycleConfiguration={"Rules": [
    {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]})

# Somebody else's key.
other = boto3.client("s3", endpoint_url=ENDPOINT, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA", aws_secret_access_key="x" * 40)
fails("InvalidAccessKeyId", 403, other.list_buckets)
wrong = boto3.client("s3", endpoint_url=ENDPOINT, aws_secret_access_key="x" * 40, aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
fails("SignatureDoesNotMatch", 403, wrong.list_buckets)

# Delete: one, many, the rest, the bucket.
s3.delete_object(Bucket=B, Key="size/1")
s3.delete_object(Bucket=B, Key="never-was")
fails("BucketNotEmpty", 409, s3.delete_bucket, Bucket=B)
keys = [{"Key": o["Key"]} for page in s3.get_paginator("list_objects_v2").paginate(Bucket=B) for o in page.get("Contents", [])]
answer = s3.delete_objects(Bucket=B, Delete={"Objects": keys})
assert "Errors" not in answer and len(answer["Deleted"]) == len(keys), answer
assert s3.list_objects_v2(Bucket=B)["KeyCount"] == 0
s3.delete_bucket(Bucket=B)
fails("404", 404, s3.head_bucket, Bucket=B)
print("walk complete")
