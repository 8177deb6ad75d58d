variable "by_hand" {
  type        = set(string)
  description = "Secrets whose values are given by an operator: keys of providers."
  default     = []
}

variable "locations" {
  type        = map(string)
  description = "Regions that they are kept in, each with its key."
}

variable "generation" {
  type        = number
  description = "Raised to have new values made and written."
  default     = 1
}
