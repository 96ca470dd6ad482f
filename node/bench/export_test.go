package bench

// Observe has called get each call of a service, from any goroutine.
func (c *Config) Observe(called func(target, key string)) { c.observe = called }
