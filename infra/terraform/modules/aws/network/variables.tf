variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network, a /16. No two stacks share any."
}

variable "zones" {
  type        = list(string)
  description = "Availability zones that it spans, two to four."
}

variable "one_nat_gateway" {
  type        = bool
  description = "One way out for all zones: cheaper, and gone with its zone."
  default     = false
}

variable "kms_key_arn" {
  type        = string
  description = "Key that the flow logs are encrypted with."
}
