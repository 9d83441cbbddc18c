// Package bombs runs guests that make as much of something as they can beside one that
// answers, each a system of its own, and measures how long the answers take, and how
// soon a bomb is gone when it is killed.
package bombs
