package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// FindingKey identifies a runbook's finding for a group.
func FindingKey(runbook string, group labels.Labels) string { return findingKey(Real, runbook, group) }

func findingKey(class Class, runbook string, group labels.Labels) string {
	return hash("finding"+string(class), runbook, group.String())
}

// incidentID is the same on every replica: evaluation times are aligned. What is no incident has another one than an
// incident of the same finding would.
func incidentID(class Class, finding string, opened time.Time) string {
	return hash("incident"+string(class), finding, opened.UTC().Format(time.RFC3339Nano))[:16]
}

// hash joins the parts unambiguously and gives 32 hexadecimal digits of their SHA-256.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
