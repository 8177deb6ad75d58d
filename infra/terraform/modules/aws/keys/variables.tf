variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "tenants_alias" {
  type        = string
  description = "Alias of the key that wraps tenants' keys: the same in both regions, since the platform writes it to what is wrapped."
}

variable "second" {
  type        = bool
  description = "This is a second region, whose key of tenants is a replica."
  default     = false
}

variable "primary_key_arn" {
  type        = string
  description = "The multi-region key that this region has a replica of; null in the first region."
  default     = null
}
