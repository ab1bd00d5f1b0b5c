package config

import "reflect"

// NeedsRestart names the settings that differ and that only a start puts in force: what the daemon opens once.
// Everything else, runbooks and signals included, takes effect at a reload.
func NeedsRestart(before, after *Settings) []string {
	opened := []struct {
		key           string
		before, after any
	}{
		{"instance", before.Instance, after.Instance},
		{"prometheus", before.Prometheus, after.Prometheus},
		{"embedded", before.Embedded, after.Embedded},
		{"interval", before.Interval, after.Interval},
		{"phase", before.Phase, after.Phase},
		{"query_offset", before.QueryOffset, after.QueryOffset},
		{"store", before.Store, after.Store},
		{"web", before.Web, after.Web},
		{"limits.segments", before.Limits.Segments, after.Limits.Segments},
		{"limits.queries", before.Limits.Queries, after.Limits.Queries},
	}
	var keys []string
	for _, o := range opened {
		if !reflect.DeepEqual(o.before, o.after) {
			keys = append(keys, o.key)
		}
	}
	return keys
}
