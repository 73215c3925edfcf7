package s3

import (
	"net/http"
	"strconv"
)

// Code is an S3 error code, as clients compare it.
type Code string

// field is one element of an error document beside Code and Message.
type field struct{ name, value string }

// apiError is an answer to a client: a code of the table, possibly with a
// message of its own, extra elements, and the cause for the log.
type apiError struct {
	Code    Code
	Message string // "" is the table's
	Status  int    // 0 is the table's
	Fields  []field
	Cause   error // never shown to the client
}

// Error implements error.
func (e *apiError) Error() string {
	s := string(e.Code) + ": " + e.message()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *apiError) Unwrap() error { return e.Cause }

func (e *apiError) message() string {
	if e.Message != "" {
		return e.Message
	}
	return answers[e.Code].message
}

func (e *apiError) status() int {
	if e.Status != 0 {
		return e.Status
	}
	if a, ok := answers[e.Code]; ok {
		return a.status
	}
	return http.StatusInternalServerError
}

// with adds an element to the error document.
func (e *apiError) with(name, value string) *apiError {
	e.Fields = append(e.Fields, field{name, value})
	return e
}

// because records the cause for the log.
func (e *apiError) because(err error) *apiError {
	e.Cause = err
	return e
}

// fail is an error with the table's message.
func fail(c Code) *apiError { return &apiError{Code: c} }

// failf is an error with a message of its own.
func failf(c Code, message string) *apiError { return &apiError{Code: c, Message: message} }

// invalidArgument names the argument and its value, as AWS does.
func invalidArgument(name, value, message string) *apiError {
	return failf("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

// notImplemented refuses a header or parameter whose feature is not there.
// Nothing is ever ignored that a client might rely on.
func notImplemented(what, sentence string) *apiError {
	return failf("NotImplemented", answers["NotImplemented"].message+": "+sentence).with("Header", what)
}

// tooLarge is EntityTooLarge with its figures.
func tooLarge(size, limit int64) *apiError {
	return fail("EntityTooLarge").
		with("ProposedSize", strconv.FormatInt(size, 10)).
		with("MaxSizeAllowed", strconv.FormatInt(limit, 10))
}

// answer is the status and message of a code.
type answer struct {
	status  int
	message string
}

// answers is the one table from S3 code to HTTP answer. It is never written.
// Source: Amazon S3 API Reference, "Error responses", and the texts that the
// service sends where they differ.
var answers = map[Code]answer{
	"AccessDenied":                      {403, "Access Denied"},
	"AuthorizationHeaderMalformed":      {400, "The authorization header you provided is invalid."},
	"AuthorizationQueryParametersError": {400, "Query-string authentication parameters are invalid."},
	"BadDigest":                         {400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	"BucketAlreadyExists":               {409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	"BucketAlreadyOwnedByYou":           {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                    {409, "The bucket you tried to delete is not empty"},
	"ConditionalRequestConflict":        {409, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	"EntityTooLarge":                    {400, "Your proposed upload exceeds the maximum allowed size"},
	"EntityTooSmall":                    {400, "Your proposed upload is smaller than the minimum allowed size"},
	"IllegalLocationConstraintException": {400,
		"The specified location-constraint is not valid for the region this request was sent to."},
	"IncompleteBody":                                 {400, "The request body terminated unexpectedly"},
	"InternalError":                                  {500, "We encountered an internal error. Please try again."},
	"InsufficientStorage":                            {507, "There is no space left to store the object. Reads and deletes still work."},
	"InvalidAccessKeyId":                             {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidArgument":                                {400, "Invalid Argument"},
	"InvalidBucketName":                              {400, "The specified bucket is not valid."},
	"InvalidDigest":                                  {400, "The Content-MD5 you specified was invalid."},
	"InvalidLocationConstraint":                      {400, "The specified location-constraint is not valid"},
	"InvalidPart":                                    {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                              {416, "The requested partnumber is not satisfiable"},
	"InvalidPartOrder":                               {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidRange":                                   {416, "The requested range is not satisfiable"},
	"InvalidRequest":                                 {400, "Invalid Request"},
	"InvalidStorageClass":                            {400, "The storage class you specified is not valid"},
	"InvalidToken":                                   {400, "The provided token is malformed or otherwise invalid."},
	"InvalidURI":                                     {400, "Couldn't parse the specified URI."},
	"KeyTooLongError":                                {400, "Your key is too long"},
	"MalformedXML":                                   {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	"MetadataTooLarge":                               {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                               {405, "The specified method is not allowed against this resource."},
	"MaxMessageLengthExceeded":                       {400, "Your request was too big."},
	"MissingContentLength":                           {411, "You must provide the Content-Length HTTP header."},
	"MissingRequestBodyError":                        {400, "Request Body is empty"},
	"MissingSecurityHeader":                          {400, "Your request was missing a required header"},
	"NoSuchBucket":                                   {404, "The specified bucket does not exist"},
	"NoSuchBucketPolicy":                             {404, "The bucket policy does not exist"},
	"NoSuchCORSConfiguration":                        {404, "The CORS configuration does not exist"},
	"NoSuchKey":                                      {404, "The specified key does not exist."},
	"NoSuchLifecycleConfiguration":                   {404, "The lifecycle configuration does not exist"},
	"NoSuchPublicAccessBlockConfiguration":           {404, "The public access block configuration was not found"},
	"NoSuchTagSet":                                   {404, "The TagSet does not exist"},
	"NoSuchUpload":                                   {404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchWebsiteConfiguration":                     {404, "The specified bucket does not have a website configuration"},
	"NoSuchVersion":                                  {404, "The specified version does not exist."},
	"UserKeyMustBeSpecified":                         {400, "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."},
	"NotImplemented":                                 {501, "A header you provided implies functionality that is not implemented"},
	"ObjectLockConfigurationNotFoundError":           {404, "Object Lock configuration does not exist for this bucket"},
	"OwnershipControlsNotFoundError":                 {404, "The bucket ownership controls were not found"},
	"PreconditionFailed":                             {412, "At least one of the pre-conditions you specified did not hold"},
	"ReplicationConfigurationNotFoundError":          {404, "The replication configuration was not found"},
	"RequestTimeTooSkewed":                           {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":                                 {400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	"RequestHeaderSectionTooLarge":                   {400, "Your request header section exceeds the maximum allowed size."},
	"ServerSideEncryptionConfigurationNotFoundError": {404, "The server side encryption configuration was not found"},
	"ServiceUnavailable":                             {503, "Service is unable to handle request."},
	"SignatureDoesNotMatch":                          {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                                       {503, "Please reduce your request rate."},
	"XAmzContentChecksumMismatch":                    {400, "The provided 'x-amz-checksum' header does not match what was computed."},
	"XAmzContentSHA256Mismatch":                      {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}
