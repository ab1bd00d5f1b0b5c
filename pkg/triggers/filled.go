package triggers

// Filled gives a copy of the clause whose label values are filled in; not ok: one of them could not be.
func (c *Clause) Filled(fill func(value string) (filled string, ok bool)) (filled *Clause, ok bool) {
	whole := *c
	if c.Condition != nil {
		whole.Condition, ok = c.Condition.filled(fill)
		return &whole, ok
	}
	for _, members := range []*[]Clause{&whole.Any, &whole.All} {
		own := make([]Clause, len(*members))
		for i := range *members {
			member, ok := (*members)[i].Filled(fill)
			if !ok {
				return nil, false
			}
			own[i] = *member
		}
		*members = own
	}
	return &whole, true
}

func (c *Condition) filled(fill func(string) (string, bool)) (*Condition, bool) {
	own := *c
	own.Where = make(map[string][]string, len(c.Where))
	for name, values := range c.Where {
		for _, value := range values {
			text, ok := fill(value)
			if !ok {
				return nil, false
			}
			own.Where[name] = append(own.Where[name], text)
		}
	}
	return &own, true
}
