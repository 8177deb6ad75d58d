variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "second" {
  type        = bool
  description = "This is a second region, which uses the first's key of tenants."
  default     = false
}

variable "tenants_location" {
  type        = string
  description = "Multi-region location of the key that wraps tenants' keys, as europe or us."
  default     = "europe"
}
