package node

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Render writes c as YAML; with comments it is the documented default that
// "torc config default" prints.
func Render(c Config, comments bool) (string, error) {
	if !comments {
		out, err := yaml.Marshal(c)
		return string(out), err
	}
	var b strings.Builder
	b.WriteString("# Configuration of one Torc server. Unknown keys are refused.\n")
	renderStruct(&b, reflect.ValueOf(c), "")
	return b.String(), nil
}

func renderStruct(b *strings.Builder, v reflect.Value, indent string) {
	for i := range v.NumField() {
		f, sf := v.Field(i), v.Type().Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		fmt.Fprintf(b, "%s# %s\n", indent, sf.Tag.Get("help"))
		switch {
		case f.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			renderStruct(b, f, indent+"  ")
		case f.Kind() == reflect.Slice:
			renderSlice(b, f, indent, name)
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, scalar(f))
		}
	}
}

// renderSlice shows the shape of a list: its elements, or one commented-out element when empty.
func renderSlice(b *strings.Builder, f reflect.Value, indent, name string) {
	elem := f.Type().Elem()
	if elem.Kind() != reflect.Struct {
		fmt.Fprintf(b, "%s%s: []\n", indent, name)
		return
	}
	fmt.Fprintf(b, "%s%s: []\n", indent, name)
	example := reflect.New(elem).Elem()
	setDefaults(example)
	for i := range elem.NumField() {
		sf := elem.Field(i)
		lead := "    "
		if i == 0 {
			lead = "  - "
		}
		key, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		fmt.Fprintf(b, "%s#%s%s: %s  # %s\n", indent, lead, key, scalar(example.Field(i)), sf.Tag.Get("help"))
	}
}

func scalar(v reflect.Value) string {
	out, err := yaml.Marshal(v.Interface())
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(out))
}
