variable "name" {
  type        = string
  description = "Name of the budget."
}

variable "monthly_usd" {
  type        = number
  description = "Dollars a month."
}

variable "emails" {
  type        = list(string)
  description = "Who is told."
}
