variable "second_promoted" {
  type        = bool
  description = "Failed over: the second region's database stands by itself. See docs/failover.md."
  default     = false
}

variable "operator_addresses" {
  type        = list(string)
  description = "Public addresses from which keys and secrets may be written, for the first apply; none: from within the network alone."
  default     = []
}
