package rates

// Cents rounds an amount of money to whole cents.
func Cents(amount float64) int64 {
	return int64(amount*100 + 0.5)
}

// Interest is what a balance bears in a number of years.
func Interest(balance float64, rate float64, years int) float64 {
	grown := balance
	for year := 0; year < years; year++ {
		grown *= 1 + rate
	}
	return grown - balance
}
