package s3

import "encoding/xml"

// The reads here answer what is literally true of every bucket and object:
// the feature was never configured, because it cannot be. Tools ask for them
// routinely. The writes beside them are NotImplemented.

// notConfigured answers a bucket's sub-resource with S3's own error for "never set".
func notConfigured(code Code) func(*call) error {
	return func(c *call) error {
		if _, err := c.ownBucket(); err != nil {
			return err
		}
		return fail(code).with("BucketName", string(c.bucket))
	}
}

// bucketDocument answers a constant document once the bucket is known to be the caller's.
func (c *call) bucketDocument(doc any) error {
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	return c.xml(doc)
}

type versioningXML struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Xmlns   string   `xml:"xmlns,attr"`
}

func (c *call) getBucketVersioning() error { return c.bucketDocument(versioningXML{Xmlns: xmlns}) }

type notificationXML struct {
	XMLName xml.Name `xml:"NotificationConfiguration"`
	Xmlns   string   `xml:"xmlns,attr"`
}

func (c *call) getBucketNotification() error { return c.bucketDocument(notificationXML{Xmlns: xmlns}) }

type loggingXML struct {
	XMLName xml.Name `xml:"BucketLoggingStatus"`
	Xmlns   string   `xml:"xmlns,attr"`
}

func (c *call) getBucketLogging() error { return c.bucketDocument(loggingXML{Xmlns: xmlns}) }

type accelerateXML struct {
	XMLName xml.Name `xml:"AccelerateConfiguration"`
	Xmlns   string   `xml:"xmlns,attr"`
}

func (c *call) getBucketAccelerate() error { return c.bucketDocument(accelerateXML{Xmlns: xmlns}) }

type requestPaymentXML struct {
	XMLName xml.Name `xml:"RequestPaymentConfiguration"`
	Xmlns   string   `xml:"xmlns,attr"`
	Payer   string   `xml:"Payer"`
}

func (c *call) getBucketRequestPayment() error {
	return c.bucketDocument(requestPaymentXML{Xmlns: xmlns, Payer: "BucketOwner"})
}

type aclXML struct {
	XMLName xml.Name   `xml:"AccessControlPolicy"`
	Xmlns   string     `xml:"xmlns,attr"`
	Owner   ownerXML   `xml:"Owner"`
	Grants  []grantXML `xml:"AccessControlList>Grant"`
}

type grantXML struct {
	Grantee    granteeXML `xml:"Grantee"`
	Permission string     `xml:"Permission"`
}

type granteeXML struct {
	XSI  string `xml:"xmlns:xsi,attr"`
	Type string `xml:"xsi:type,attr"`
	ownerXML
}

// ownACL is the only ACL there is: everything to the owner.
func (c *call) ownACL() aclXML {
	grantee := granteeXML{XSI: "http://www.w3.org/2001/XMLSchema-instance", Type: "CanonicalUser", ownerXML: c.self()}
	return aclXML{Xmlns: xmlns, Owner: c.self(), Grants: []grantXML{{grantee, "FULL_CONTROL"}}}
}

func (c *call) getBucketACL() error { return c.bucketDocument(c.ownACL()) }

func (c *call) getObjectACL() error {
	if _, err := c.stat(); err != nil {
		return err
	}
	return c.xml(c.ownACL())
}

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	Xmlns   string   `xml:"xmlns,attr"`
	TagSet  struct{} `xml:"TagSet"`
}

func (c *call) getObjectTagging() error {
	if _, err := c.stat(); err != nil {
		return err
	}
	return c.xml(taggingXML{Xmlns: xmlns})
}
