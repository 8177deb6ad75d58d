variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}

variable "location" {
  type        = string
  description = "Azure's name of the region."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "vault_name" {
  type        = string
  description = "Name of the vault, unique in the world, 24 characters at most."
}

variable "endpoint_subnet_id" {
  type        = string
  description = "Subnet of private endpoints."
}

variable "zone_id" {
  type        = string
  description = "Private DNS zone of vaults."
}

variable "keys_expire" {
  type        = string
  description = "Time after which keys and secrets are refused, as an alarm that nobody has renewed them: RFC 3339."
}

variable "generation" {
  type        = number
  description = "Raised to have new values made and written."
  default     = 1
}

variable "operator_addresses" {
  type        = list(string)
  description = "Public addresses from which keys and secrets may be written, for the first apply; none: from within the network alone."
  default     = []
}

variable "copy_of" {
  type        = string
  description = "Where it is a second region's: the first region's vault, whose secrets it copies."
  default     = null
}
