package storage

import (
	"fmt"
	"strings"
)

// Limits of annotations (RFC 5464): NO [METADATA MAXSIZE n] and [METADATA
// TOOMANY].
const (
	MaxAnnotation  = 64 << 10 // octets of a value
	MaxAnnotations = 1000     // of one account, all mailboxes together
)

// Annotations are the values of entries such as "/private/comment" (RFC 5464
// section 3), in lower case as entry names are compared without regard to it.
type Annotations map[string]string

// CheckAnnotation refuses what no store keeps: a name that does not begin with
// /private/ or /shared/ or has an empty part, a wildcard or a control character
// (ErrName), and a value above MaxAnnotation octets (ErrAnnotationSize). It
// returns the name in lower case.
func CheckAnnotation(entry, value string) (string, error) {
	entry = strings.ToLower(entry)
	private, shared := strings.HasPrefix(entry, "/private/"), strings.HasPrefix(entry, "/shared/")
	bad := strings.Contains(entry, "//") || strings.HasSuffix(entry, "/") || strings.ContainsAny(entry, "*%") ||
		strings.ContainsFunc(entry, func(r rune) bool { return r < ' ' || r >= 0x7f })
	switch {
	case bad || !private && !shared || len(entry) > 1024:
		return "", fmt.Errorf("annotation %.40q: %w", entry, ErrName)
	case len(value) > MaxAnnotation:
		return "", fmt.Errorf("annotation %.40q of %d octets: %w", entry, len(value), ErrAnnotationSize)
	}
	return entry, nil
}
