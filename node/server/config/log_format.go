package config

import "os"

// defaultLogFormat is text if standard error is a terminal, else JSON.
func defaultLogFormat() LogFormat {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return LogText
	}
	return LogJSON
}
