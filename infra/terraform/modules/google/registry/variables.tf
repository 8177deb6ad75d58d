variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "location" {
  type        = string
  description = "Region, or a multi-region location where there are two."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest, of the same location; null in a multi-region location, where it is Google's own."
}
