variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "other_names" {
  type        = list(string)
  description = "Other names that it is good for."
  default     = []
}

variable "zone_id" {
  type        = string
  description = "Zone of these names."
}
