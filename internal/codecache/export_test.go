package codecache

import "time"

// Later has the cache see a time that is d from now.
func (c *Cache) Later(d time.Duration) { c.now = func() time.Time { return time.Now().Add(d) } }
