package messages

import "math"

// DefaultCurrency is the currency of an order without one.
const DefaultCurrency = "USD"

// maxMinor is the largest amount, in minor units: up to it a double holds every whole number, so sums are exact.
const maxMinor = 1 << 53

// relativeTolerance is how far, relative to its size, a scaled double may be from the decimal number it was written as: a few
// units in the last place.
const relativeTolerance = 0x1p-50

// scale returns the number of minor units (ISO 4217) in a unit of the currency; false if it is unknown.
func scale(currency string) (float64, bool) {
	if currency == DefaultCurrency {
		return 100, true
	}
	digits, ok := minorDigits[currency]
	return powersOfTen[digits], ok
}

var powersOfTen = [...]float64{1, 10, 100, 1_000, 10_000}

// amount is a sum in minor units: an exact sum of whole minor units, and the sum of prices with a fraction of one.
type amount struct {
	whole    int64
	fraction float64
}

// addLine adds quantity times price; false if the sum would exceed maxMinor.
func (a *amount) addLine(quantity int32, price, scale float64) bool {
	minor := price * scale
	if !(minor <= maxMinor) {
		return false
	}
	whole := math.Round(minor)
	if math.Abs(minor-whole) > minor*relativeTolerance {
		a.fraction += float64(quantity) * minor
		return a.inRange()
	}
	if whole == 0 {
		return true
	}
	if int64(quantity) > (maxMinor-a.whole)/int64(whole) {
		return false
	}
	a.whole += int64(quantity) * int64(whole)
	return a.inRange()
}

func (a *amount) inRange() bool { return float64(a.whole)+a.fraction <= maxMinor }

// minor returns the sum in minor units.
func (a *amount) minor() float64 { return float64(a.whole) + a.fraction }

// equals reports whether total, in units of the currency, is the sum to within half a minor unit.
func (a *amount) equals(total, scale float64) bool {
	minor := total * scale
	return math.Abs(minor-a.minor()) <= 0.5+math.Abs(minor)*relativeTolerance
}

// sum adds up the lines of an order; false if a quantity or price is out of range, or the sum.
func sum(items []*OrderItem, scale float64) (amount, bool) {
	var a amount
	for _, item := range items {
		if item.GetQuantity() < 1 || !(item.GetUnitPrice() >= 0) {
			return amount{}, false
		}
		if !a.addLine(item.Quantity, item.UnitPrice, scale) {
			return amount{}, false
		}
	}
	return a, true
}
