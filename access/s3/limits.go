package s3

import "time"

// Limits of the connector. Those of the object model (sizes, keys, parts) are
// package object's.
const (
	RequestsMax         = 1024      // requests served at once by one handler; more get SlowDown
	ConnectionsMax      = 4096      // connections of one server (HTTP or HTTPS), idle ones too; more are closed at once
	HeaderBytesMax      = 64 << 10  // bytes of request line and headers
	DeleteXMLMax        = 2 << 20   // bytes of a DeleteObjects document
	CompleteXMLMax      = 4 << 20   // bytes of a CompleteMultipartUpload document: 10,000 parts with checksums
	BucketXMLMax        = 64 << 10  // bytes of a CreateBucket document
	LargeDocumentsMax   = 32        // requests at once with a document over LargeDocumentBytes; more get SlowDown
	LargeDocumentBytes  = 256 << 10 // bytes; a thousand keys or parts are below it
	ListBucketsMax      = 10000     // buckets of one ListBuckets page
	BucketNameLenMin    = 3         // bytes
	BucketNameLenMax    = 63        // bytes
	CopySourceSizeMax   = 5 << 30   // bytes that one CopyObject or UploadPartCopy may copy
	WriteBytesMax       = 512 << 10 // bytes of an object written to a client under one deadline
	DrainBytesMax       = 256 << 10 // bytes of an unread body taken to keep its connection
	AccessLogKeyLenMax  = 1024      // bytes of a key in the access log
	QueryParametersMax  = 64        // parameters of one request
	UploadIDLenMax      = 256       // bytes of an uploadId
	ContinuationLenMax  = 4096      // bytes of a continuation token
	UserMetadataKeysMax = 128       // x-amz-meta-* headers of one object
)

// Times of the connector.
const (
	BodyIdleTimeout    = 60 * time.Second // a body that brings no byte for so long is RequestTimeout
	WriteIdleTimeout   = 60 * time.Second // an answer that a client does not read for so long is cut
	ReadHeaderTimeout  = 15 * time.Second
	IdleTimeout        = 3 * time.Minute // keep-alive between requests
	DrainTimeout       = 5 * time.Second // for those bytes to come
	SlowAnswerInterval = 10 * time.Second
	RetryAfter         = 1 * time.Second // told to clients with SlowDown and ServiceUnavailable
)
