package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestGeneratedDocs holds that docs/ says what types.go says.
func TestGeneratedDocs(t *testing.T) {
	t.Parallel()
	for name, generate := range map[string]func() (string, error){
		"config.md":            Markdown,
		"gomaild.example.toml": Example,
	} {
		want, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("../../docs", name))
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is not what types.go says; run make docs (%v)", name, err)
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	all, err := sections()
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, s := range all {
		for _, k := range s.keys {
			keys++
			if k.doc == "" {
				t.Errorf("%s in [%s] has no comment", k.name, s.path)
			}
		}
	}
	if keys < 50 {
		t.Errorf("only %d keys were found", keys)
	}
}

// TestExampleIsTheDefault holds that the example, as it is and with every key
// uncommented, says nothing else than an empty file does.
func TestExampleIsTheDefault(t *testing.T) {
	t.Parallel()
	example, err := Example()
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse("empty.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	for rule, text := range map[string]string{
		"as it is":    example,
		"uncommented": uncommentTables(example),
	} {
		got, err := Parse("example.toml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		got.source, want.source = source{}, source{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", rule, got, want)
		}
	}
}

// uncommentTables activates every key but those of lists of tables, where an
// empty value stands for one that the operator must write.
func uncommentTables(example string) string {
	key := regexp.MustCompile(`(?m)^#([a-z_]+ = )`)
	var b strings.Builder
	inList := false
	for line := range strings.Lines(example) {
		if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "#[[") {
			inList = strings.HasPrefix(line, "#")
		}
		if !inList {
			line = key.ReplaceAllString(line, "$1")
		}
		b.WriteString(line)
	}
	return b.String()
}
