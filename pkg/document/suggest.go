package document

import "strings"

// didYouMean gives "did you mean above? " where a word is close enough to one of those allowed, else nothing.
func didYouMean(word string, allowed []string) string {
	if nearest := Nearest(word, allowed); nearest != "" {
		return "did you mean " + nearest + "? "
	}
	return ""
}

// Nearest gives the allowed word that the written one is most probably a slip of, or nothing.
func Nearest(word string, allowed []string) string {
	const tooLong = 64
	if len(word) > tooLong {
		return ""
	}
	folded := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	best, nearest := max(1, len(word)/3)+1, "" // of two that are as near neither is meant
	for _, candidate := range allowed {
		if len(candidate) > tooLong {
			continue
		}
		if d := distance(folded, strings.ToLower(strings.ReplaceAll(candidate, "-", "_"))); d < best {
			best, nearest = d, candidate
		} else if d == best {
			nearest = ""
		}
	}
	return nearest
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to turn one word into the other
// (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
