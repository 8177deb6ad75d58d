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

variable "registry_name" {
  type        = string
  description = "Name of the registry, unique in the world: letters and digits."
}

variable "replica_locations" {
  type        = set(string)
  description = "Regions that images are copied to."
  default     = []
}

variable "endpoint_subnet_id" {
  type        = string
  description = "Subnet of private endpoints."
}

variable "zone_id" {
  type        = string
  description = "Private DNS zone of registries."
}

variable "rest_key_id" {
  type        = string
  description = "Key of what is at rest."
}

variable "rest_identity" {
  type = object({
    id        = string
    client_id = string
  })
  description = "Identity that uses that key."
}
