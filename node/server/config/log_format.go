package config

import "os"

// defaultLogFormat suits whoever reads standard error: a person at a terminal, or a machine.
func defaultLogFormat() LogFormat {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return LogText
	}
	return LogJSON
}
