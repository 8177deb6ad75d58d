variable "name" {
  type        = string
  description = "Name of the budget."
}

variable "billing_account" {
  type        = string
  description = "The billing account that pays for the project."
}

variable "monthly" {
  type        = number
  description = "What it may cost a month, in whole units of the account's currency."
}

variable "channels" {
  type        = list(string)
  description = "Who is told."
}
