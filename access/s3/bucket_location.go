package s3

import "encoding/xml"

type locationXML struct {
	XMLName  xml.Name `xml:"LocationConstraint"`
	Xmlns    string   `xml:"xmlns,attr"`
	Location string   `xml:",chardata"`
}

// getBucketLocation is GetBucketLocation: us-east-1 is the empty constraint.
func (c *call) getBucketLocation() error {
	b, err := c.ownBucket()
	if err != nil {
		return err
	}
	region := c.regionOf(b)
	if region == "us-east-1" {
		region = ""
	}
	return c.xml(locationXML{Xmlns: xmlns, Location: region})
}
