package config

import "reflect"

// NeedsRestart names the settings that differ and that only a start puts in force: what the daemon opens once, or says
// of itself. Everything else takes effect at a reload: runbooks, signals, receivers, who may call the API.
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
		{"web.listen", before.Web.Listen, after.Web.Listen},
		{"web.external_url", before.Web.ExternalURL, after.Web.ExternalURL},
		{"web.config_file", before.Web.tlsFile(), after.Web.tlsFile()},
		{"changes.detect", before.Changes.Detect, after.Changes.Detect},
		{"heartbeat", before.Heartbeat, after.Heartbeat},
		{"blind_after", before.BlindAfter, after.BlindAfter},
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

// tlsFile is the file that the listener takes its certificate from, or nothing where it speaks plain http. What stands in
// the file is read anew, but neither its name nor whether it is there.
func (w Web) tlsFile() string {
	if !w.TLS {
		return ""
	}
	return w.ConfigFile
}
