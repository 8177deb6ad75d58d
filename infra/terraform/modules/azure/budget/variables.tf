variable "name" {
  type        = string
  description = "Name of the budget."
}

variable "subscription_id" {
  type        = string
  description = "The subscription."
}

variable "monthly" {
  type        = number
  description = "What it may cost a month, in the subscription's currency."
}

variable "begins" {
  type        = string
  description = "First day of the month from which it counts, as RFC 3339."
}

variable "emails" {
  type        = list(string)
  description = "Who is told."
}
