package web

import (
	"maps"
	"slices"
)

// PlainRoutes are the patterns of all routes that are no operation of the API, and the scope that each needs; empty: none.
func PlainRoutes() map[string]string {
	routes := map[string]string{}
	for _, pattern := range slices.Collect(maps.Keys(plainNeeds)) {
		routes[pattern] = string(plainNeeds[pattern].scope)
	}
	return routes
}

// PlainReasons are why the others are open.
func PlainReasons() map[string]string {
	reasons := map[string]string{}
	for pattern, n := range plainNeeds {
		if n.scope == "" {
			reasons[pattern] = n.why
		}
	}
	return reasons
}
