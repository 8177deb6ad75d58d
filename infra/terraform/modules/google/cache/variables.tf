variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "memory_gb" {
  type        = number
  description = "Memory."
}

variable "standby" {
  type        = bool
  description = "A second node that takes over."
}

variable "network_id" {
  type        = string
  description = "The network."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "locations" {
  type        = map(string)
  description = "Regions that the secret is kept in, each with its key."
}

variable "second" {
  type        = bool
  description = "This is a second region, whose secret has a name of its own."
}

variable "generation" {
  type        = number
  description = "Raised after the password was renewed, to have it written."
  default     = 1
}
