package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Mode says how a payload is protected: the meaning of x-amz-content-sha256.
type Mode uint8

// The payload modes.
const (
	ModeUnsigned         Mode = iota // UNSIGNED-PAYLOAD
	ModeSHA256                       // a hex SHA-256 of the body
	ModeStreaming                    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
	ModeStreamingTrailer             // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
	ModeUnsignedTrailer              // STREAMING-UNSIGNED-PAYLOAD-TRAILER
)

const (
	unsignedPayload          = "UNSIGNED-PAYLOAD"
	streamingPayload         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingPayloadTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamingECDSA           = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
	streamingECDSATrailer    = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
)

// String returns the header value, or "SHA256".
func (m Mode) String() string {
	switch m {
	case ModeUnsigned:
		return unsignedPayload
	case ModeSHA256:
		return "SHA256"
	case ModeStreaming:
		return streamingPayload
	case ModeStreamingTrailer:
		return streamingPayloadTrailer
	case ModeUnsignedTrailer:
		return streamingUnsignedTrailer
	}
	return "unknown"
}

// Chunked reports whether the body is aws-chunked.
func (m Mode) Chunked() bool {
	return m == ModeStreaming || m == ModeStreamingTrailer || m == ModeUnsignedTrailer
}

func (m Mode) signed() bool  { return m == ModeStreaming || m == ModeStreamingTrailer }
func (m Mode) trailer() bool { return m == ModeStreamingTrailer || m == ModeUnsignedTrailer }

func parseMode(value string) (Mode, error) {
	switch value {
	case unsignedPayload:
		return ModeUnsigned, nil
	case streamingPayload:
		return ModeStreaming, nil
	case streamingPayloadTrailer:
		return ModeStreamingTrailer, nil
	case streamingUnsignedTrailer:
		return ModeUnsignedTrailer, nil
	case streamingECDSA, streamingECDSATrailer:
		return 0, fail(NotImplemented, "A header you provided implies functionality that is not implemented.").
			with("Header", "x-amz-content-sha256").with("additionalMessage", value)
	}
	if isHexSHA256(value) {
		return ModeSHA256, nil
	}
	return 0, fail(InvalidArgument, "x-amz-content-sha256 must be %s, or a valid sha256 value.", strings.Join([]string{
		unsignedPayload, streamingUnsignedTrailer, streamingPayload, streamingPayloadTrailer, streamingECDSA, streamingECDSATrailer,
	}, ", ")).with("ArgumentName", "x-amz-content-sha256").with("ArgumentValue", value)
}

func isHexSHA256(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == sha256.Size
}
