variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "cidr" {
  type        = string
  description = "Addresses of the network, a /16. No two stacks share any."
}
