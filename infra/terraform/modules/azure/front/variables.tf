variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "resource_group" {
  type        = string
  description = "Resource group."
}


variable "tags" {
  type        = map(string)
  description = "Tags of everything."
}

variable "domain" {
  type        = string
  description = "Name that people type: that of the zone."
}

variable "dns_zone" {
  type = object({
    id             = string
    name           = string
    resource_group = string
  })
  description = "The environment's own zone."
}

variable "origins" {
  type        = map(string)
  description = "Names of the regions' gateways: `first`, and `second` where there is one."
}

variable "requests_per_address" {
  type        = number
  description = "Requests of one address in five minutes; those beyond are refused."
  default     = 10000
}

variable "log_workspace_id" {
  type        = string
  description = "Workspace of logs, in the first region."
}
