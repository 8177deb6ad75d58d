variable "operator_addresses" {
  type        = list(string)
  description = "Public addresses from which keys and secrets may be written, for the first apply; none: from within the network alone."
  default     = []
}
